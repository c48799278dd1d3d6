%% A peer played by hand, one step of the protocol at a time: what OTP's own code never does wrong, this one can.
%% Terms are plain (no atom cache) unless a case asks for more flags.
-module(wire).
-export([with_header/0, body/1, header/2, listen/1, listen/2, port/1, accept/1, connect/1, close/1, reset/1, cookie/0, flags/0,
         send/2, recv/1, recv/2, frame/1, frame/2, name/1, name/2, status/1, challenge/2, challenge/3, reply/2, ack/1,
         greet/2, dial/2, dial/3, take/2, control/2, control/3, tick/1, closed/1, before_time/2, next/1, next/2, signal/1, digest/2,
         pid/1, pid/2, ref/2, ask/4, answer/1, whole/2]).

-define(LIMIT, 60000).

%% BIG_CREATION, HANDSHAKE_23, V4_NC, UNLINK_ID, SPAWN, ALIAS, monitors, payloads of exits; no header, no fragments.
flags() -> 16#d07df7fbd band bnot (1 bor (1 bsl 13) bor (1 bsl 23)).

%% As those, with headers and their atom cache, and fragments.
with_header() -> flags() bor (1 bsl 13) bor (1 bsl 23).

cookie() -> atom_to_binary(erlang:get_cookie()).

%% -- registered with the port mapper under a name, to be dialled --

listen(Node) -> listen(Node, 72).
listen(Node, Type) ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127,0,0,1}}, {reuseaddr, true}, {backlog, 64}]),
    {ok, Port} = inet:port(Listener),
    {ok, Epmd} = gen_tcp:connect({127,0,0,1}, epmd_port(), [binary, {active, false}]),
    [Alive, _] = string:split(atom_to_list(Node), "@"),
    Name = list_to_binary(Alive),
    Body = <<120, Port:16, Type, 0, 6:16, 5:16, (byte_size(Name)):16, Name/binary, 0:16>>,
    ok = gen_tcp:send(Epmd, <<(byte_size(Body)):16, Body/binary>>),
    {ok, <<118, 0, _/binary>>} = gen_tcp:recv(Epmd, 6, ?LIMIT),
    {Listener, Epmd}.

epmd_port() ->
    case os:getenv("ERL_EPMD_PORT") of
        false -> 4369;
        Port -> list_to_integer(Port)
    end.

accept({Listener, _}) ->
    {ok, Socket} = gen_tcp:accept(Listener, ?LIMIT),
    ok = inet:setopts(Socket, [{nodelay, true}]),
    Socket.

%% The port that a node is registered with.
port(Node) ->
    [Alive, _] = string:split(atom_to_list(Node), "@"),
    {port, Port, _} = erl_epmd:port_please(Alive, {127,0,0,1}),
    Port.

connect(Node) ->
    {ok, Socket} = gen_tcp:connect({127,0,0,1}, port(Node), [binary, {active, false}, {nodelay, true}]),
    Socket.

close({Listener, Epmd}) -> gen_tcp:close(Epmd), gen_tcp:close(Listener);
close(Socket) -> gen_tcp:close(Socket).

%% The other end sees a reset, not an end.
reset(Socket) ->
    ok = inet:setopts(Socket, [{linger, {true, 0}}]),
    gen_tcp:close(Socket).

%% -- the handshake: frames of 16 bits --

send(Socket, Bytes) -> gen_tcp:send(Socket, Bytes).

frame(Body) -> frame(16, Body).
frame(Bits, Body) -> <<(byte_size(Body)):Bits, Body/binary>>.

recv(Socket) -> recv(Socket, ?LIMIT).
recv(Socket, Ms) ->
    case gen_tcp:recv(Socket, 2, Ms) of
        {ok, <<Size:16>>} -> gen_tcp:recv(Socket, Size, Ms);
        Error -> Error
    end.

name(Node) -> name(Node, flags()).
name(Node, Flags) ->
    Name = atom_to_binary(Node),
    frame(<<$N, Flags:64, (creation()):32, (byte_size(Name)):16, Name/binary>>).

creation() -> 4711.

status(Text) -> frame(<<$s, Text/binary>>).

challenge(Node, Challenge) -> challenge(Node, Challenge, flags()).
challenge(Node, Challenge, Flags) ->
    Name = atom_to_binary(Node),
    frame(<<$N, Flags:64, Challenge:32, (creation()):32, (byte_size(Name)):16, Name/binary>>).

reply(Theirs, Mine) -> frame(<<$r, Mine:32, (digest(cookie(), Theirs))/binary>>).

ack(Theirs) -> frame(<<$a, (digest(cookie(), Theirs))/binary>>).

digest(Cookie, Challenge) -> erlang:md5([Cookie, integer_to_binary(Challenge)]).

%% The dialling side up to the challenge of the other: {Status, Challenge}.
greet(Socket, Name) ->
    ok = send(Socket, Name),
    {ok, <<$s, Status/binary>>} = recv(Socket),
    case Status of
        <<"ok", _/binary>> ->
            {ok, <<$N, _:64, Challenge:32, _/binary>>} = recv(Socket),
            {Status, Challenge};
        _ ->
            {Status, none}
    end.

%% A whole connection to a node, in place of one that it believes in still.
dial(Node, Me) -> dial(Node, Me, flags()).
dial(Node, Me, Flags) -> dial(Node, Me, Flags, 100).

dial(Node, Me, Flags, Tries) ->
    Socket = connect(Node),
    ok = send(Socket, name(Me, Flags)),
    case recv(Socket) of
        {ok, <<$s, "ok">>} -> prove(Socket);
        {ok, <<$s, "alive">>} -> ok = send(Socket, status(<<"true">>)), prove(Socket);
        %% An attempt that has just died is not forgotten yet.
        _ when Tries > 0 -> close(Socket), timer:sleep(20), dial(Node, Me, Flags, Tries - 1)
    end.

prove(Socket) ->
    {ok, <<$N, _:64, Challenge:32, _/binary>>} = recv(Socket),
    ok = send(Socket, reply(Challenge, 99)),
    {ok, <<$a, Digest:16/binary>>} = recv(Socket),
    Digest = digest(cookie(), 99),
    Socket.

%% A whole connection that a node has dialled; gives who it says it is. Dials that it has given up already are passed over.
take(Listener, Me) ->
    Socket = accept(Listener),
    case answered_dial(Socket, Me) of
        given_up -> close(Socket), take(Listener, Me);
        Name -> {Socket, binary_to_atom(Name)}
    end.

answered_dial(Socket, Me) ->
    case recv(Socket) of
        {error, closed} ->
            given_up;
        {ok, <<$N, _:64, _:32, Size:16, Name:Size/binary, _/binary>>} ->
            _ = send(Socket, [status(<<"ok">>), challenge(Me, 77)]),
            case recv(Socket) of
                {ok, <<$r, Theirs:32, Digest:16/binary>>} ->
                    Digest = digest(cookie(), 77),
                    ok = send(Socket, ack(Theirs)),
                    Name;
                {error, Why} when Why =:= closed; Why =:= econnreset ->
                    given_up
            end
    end.

%% -- after the handshake: frames of 32 bits, terms passed through --

control(Socket, Control) -> send(Socket, frame(32, <<112, (term_to_binary(Control))/binary>>)).
control(Socket, Control, Message) ->
    send(Socket, frame(32, <<112, (term_to_binary(Control))/binary, (term_to_binary(Message))/binary>>)).

tick(Socket) -> send(Socket, <<0:32>>).

%% What comes next: `tick`, `{Control}`, `{Control, Message}`, or why nothing does.
next(Socket) -> next(Socket, ?LIMIT).
next(Socket, Ms) ->
    case gen_tcp:recv(Socket, 4, Ms) of
        {ok, <<0:32>>} -> tick;
        {ok, <<Size:32>>} -> {ok, <<112, Terms/binary>>} = gen_tcp:recv(Socket, Size, Ms), terms(Terms);
        {error, Why} -> Why
    end.

%% What comes next as it is, ticks passed over.
body(Socket) ->
    case gen_tcp:recv(Socket, 4, ?LIMIT) of
        {ok, <<0:32>>} -> body(Socket);
        {ok, <<Size:32>>} -> {ok, Body} = gen_tcp:recv(Socket, Size, ?LIMIT), Body
    end.

%% The header of a whole message: `{new | known, Atom}` in order, what is behind it, and the cache as it is then.
header(<<131, 68, 0, Terms/binary>>, Cache) -> {[], Terms, Cache};
header(<<131, 68, Count, Rest/binary>>, Cache) ->
    Bytes = Count div 2 + 1,
    <<Flags:Bytes/binary, Refs/binary>> = Rest,
    Halves = lists:append([[Low, High] || <<High:4, Low:4>> <= Flags]),
    {Segments, [Last | _]} = lists:split(Count, Halves),
    refs(Segments, 8 bsl (Last band 1), Refs, Cache, []).

refs([], _, Terms, Cache, Entries) -> {lists:reverse(Entries), Terms, Cache};
refs([New | More], Bits, <<Index, Rest/binary>>, Cache, Entries) when New >= 8 ->
    <<Size:Bits, Text:Size/binary, Behind/binary>> = Rest,
    Atom = binary_to_atom(Text),
    refs(More, Bits, Behind, Cache#{{New - 8, Index} => Atom}, [{new, Atom} | Entries]);
refs([Segment | More], Bits, <<Index, Rest/binary>>, Cache, Entries) ->
    refs(More, Bits, Rest, Cache, [{known, maps:get({Segment, Index}, Cache)} | Entries]).

terms(Bytes) ->
    {Control, Used} = binary_to_term(Bytes, [used]),
    case Bytes of
        <<_:Used/binary>> -> {Control};
        <<_:Used/binary, Rest/binary>> -> {Control, binary_to_term(Rest)}
    end.

%% The next that is neither a tick nor about the questions of this module.
signal(Socket) ->
    case next(Socket) of
        tick -> signal(Socket);
        Signal -> Signal
    end.

%% A process of the peer that is played here.
pid(Me) -> pid(Me, 7).
pid(Me, Id) -> identifier(88, Me, <<Id:32, 0:32, (creation()):32>>).

ref(Me, N) ->
    Name = atom_to_binary(Me),
    binary_to_term(<<131, 90, 3:16, 119, (byte_size(Name)), Name/binary, (creation()):32, N:32, 1:32, 2:32>>).

identifier(Tag, Me, Rest) ->
    Name = atom_to_binary(Me),
    binary_to_term(<<131, Tag, 119, (byte_size(Name)), Name/binary, Rest/binary>>).

%% A command to a process of the subject, by pid or name; its answer.
ask(Socket, Me, Name, Command) when is_atom(Name) ->
    control(Socket, {6, pid(Me), '', Name}, {ask, pid(Me), asked, Command}),
    answered(Socket);
ask(Socket, Me, Pid, Command) ->
    control(Socket, {22, pid(Me), Pid}, {ask, pid(Me), asked, Command}),
    answered(Socket).

answered(Socket) ->
    {answer, asked, Result} = answer(Socket),
    Result.

%% The next answer; what comes before it is passed over.
answer(Socket) ->
    case next(Socket) of
        {_, {answer, _, _} = Answer} -> Answer;
        Why when is_atom(Why), Why =/= tick -> error({no_answer, Why});
        _ -> answer(Socket)
    end.

%% The subject answers this peer, and the node.
whole(Node, Me) ->
    answers_me(Node, Me, 3),
    well = puppet:ask({subject, Node}, {echo, well}),
    ok.

%% An attempt that has died after its last step may come to its end behind this one, and take its place once.
answers_me(Node, Me, Tries) ->
    Socket = dial(Node, Me),
    try well = ask(Socket, Me, subject, {echo, well})
    catch error:{no_answer, _} when Tries > 1 -> answers_me(Node, Me, Tries - 1)
    after close(Socket)
    end.

%% What is closed here is not closed because time is over: a connection from before, which says nothing, is open still.
before_time(Node, Fun) ->
    Silent = connect(Node),
    Fun(),
    {error, timeout} = gen_tcp:recv(Silent, 0, 0),
    close(Silent).

%% The other end has given the connection up, long before the silence here would be a reason: 30 s, where a tick time is 60 s
%% and the time for a dial 120 s. What it still said before is passed over.
closed(Socket) -> closed(Socket, erlang:monotonic_time(millisecond) + 30000).

closed(Socket, Deadline) ->
    case gen_tcp:recv(Socket, 0, max(0, Deadline - erlang:monotonic_time(millisecond))) of
        {ok, _} -> closed(Socket, Deadline);
        {error, timeout} -> error(still_open);
        {error, _} -> ok
    end.
