%% A peer that dies in every step of the handshake, or says what it must not: the subject stays whole and takes the next.
-module(handshake_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {dialler_dies_in_every_step, fun dialler/1},
        {listener_dies_in_every_step, fun listener/1},
        {many_die_at_once, fun crowd/1},
        {dialler_dies_where_names_collide, fun collides/1},
        {dialler_says_what_it_must_not, fun dialler_lies/1},
        {dialler_stops_in_the_middle_of_a_frame, fun dialler_stops/1},
        {listener_says_what_it_must_not, fun listener_lies/1},
        {listener_stops_in_the_middle_of_a_frame, fun listener_stops/1},
        {a_listener_that_refuses, fun refuses/1},
        {a_listener_that_says_nok, fun nok/1},
        {a_silent_dialler_is_given_up, fun silent_dialler/1},
        {a_silent_listener_is_given_up, fun silent_listener/1},
        {flags_that_are_missing, fun flags/1},
        {flags_from_the_future, fun future/1},
        {everything_in_one_segment_and_byte_by_byte, fun segments/1},
        {connected_already, fun alive/1}
    ].

%% Steps of one who dials: each does one thing more than the one before, then the connection ends.
dialler(Node) ->
    [begin
        %% Nobody has heard of it yet.
        Me = launcher:name(raw),
        Socket = wire:connect(Node),
        Step(Socket, wire:name(Me)),
        End(Socket),
        wire:whole(Node, Me)
    end || Step <- dialler_steps(), End <- [fun wire:close/1, fun wire:reset/1]].

dialler_steps() ->
    Greet = fun(Socket, Name) -> {_, Challenge} = wire:greet(Socket, Name), Challenge end,
    Prove = fun(Socket, Name) -> wire:send(Socket, wire:reply(Greet(Socket, Name), 5)) end,
    [
        fun(_, _) -> ok end,
        fun(Socket, _) -> wire:send(Socket, <<0>>) end,
        fun(Socket, Name) -> wire:send(Socket, binary:part(Name, 0, 2)) end,
        fun(Socket, Name) -> wire:send(Socket, binary:part(Name, 0, byte_size(Name) div 2)) end,
        fun(Socket, Name) -> wire:send(Socket, Name) end,
        fun(Socket, Name) -> wire:send(Socket, Name), {ok, <<"sok">>} = wire:recv(Socket) end,
        Greet,
        fun(Socket, Name) -> wire:send(Socket, binary:part(wire:reply(Greet(Socket, Name), 5), 0, 9)) end,
        Prove,
        fun(Socket, Name) -> Prove(Socket, Name), {ok, <<$a, _/binary>>} = wire:recv(Socket) end,
        fun(Socket, Name) -> Prove(Socket, Name), {ok, _} = wire:recv(Socket), wire:send(Socket, <<0, 0>>) end
    ].

%% A subject that dials for two minutes: what fails before that has not failed for the time.
patient() ->
    {Node, _} = launcher:start(patient, [{setuptime, 120}]),
    true = net_kernel:connect_node(Node),
    Node.

%% The same of one who is dialled: the attempt fails, the next one succeeds.
listener(_) ->
    Node = patient(),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    Pid = puppet:new(Node),
    Name = fun(Socket) -> {ok, <<$N, _/binary>>} = wire:recv(Socket) end,
    Ok = wire:status(<<"ok">>),
    Challenge = wire:challenge(Me, 77),
    Reply = fun(Socket) -> {ok, <<$r, Theirs:32, _/binary>>} = wire:recv(Socket), Theirs end,
    Steps = [
        fun(_) -> ok end,
        fun(Socket) -> Name(Socket) end,
        fun(Socket) -> Name(Socket), wire:send(Socket, binary:part(Ok, 0, 1)) end,
        fun(Socket) -> Name(Socket), wire:send(Socket, binary:part(Ok, 0, 4)) end,
        fun(Socket) -> Name(Socket), wire:send(Socket, Ok) end,
        fun(Socket) -> Name(Socket), wire:send(Socket, [Ok, binary:part(Challenge, 0, 15)]) end,
        fun(Socket) -> Name(Socket), wire:send(Socket, [Ok, Challenge]) end,
        fun(Socket) -> Name(Socket), wire:send(Socket, [Ok, Challenge]), Reply(Socket) end,
        fun(Socket) ->
            Name(Socket), wire:send(Socket, [Ok, Challenge]),
            wire:send(Socket, binary:part(wire:ack(Reply(Socket)), 0, 10))
        end
    ],
    [begin
        Asked = puppet:begin_(Pid, {connect, Me}),
        Socket = wire:accept(Listener),
        Step(Socket),
        End(Socket),
        ?is(false, puppet:answer(Asked)),
        Again = puppet:begin_(Pid, {connect, Me}),
        {Whole, Node} = wire:take(Listener, Me),
        ?is(true, puppet:answer(Again)),
        wire:close(Whole),
        check:until(gone, fun() -> not lists:member(Me, puppet:ask(Pid, nodes)) end)
    end || Step <- Steps, End <- [fun wire:close/1, fun wire:reset/1]],
    wire:close(Listener),
    true = erlang:disconnect_node(Node).

%% It dies when it is told that there is a connection of that name; when it has said that it means the new one; and, with the
%% greater and the lesser name, while the subject dials it.
collides(_) ->
    Node = patient(),
    Ends = [fun wire:close/1, fun wire:reset/1],
    [begin
        Me = launcher:name(raw),
        First = wire:dial(Node, Me),
        Second = wire:connect(Node),
        ok = wire:send(Second, wire:name(Me)),
        ?is({ok, <<"salive">>}, wire:recv(Second)),
        [ok = wire:send(Second, wire:status(Say)) || Say <- Says],
        End(Second),
        [?is(first, wire:ask(First, Me, subject, {echo, first})) || Says =:= []],
        wire:close(First),
        wire:whole(Node, Me)
    end || Says <- [[], [<<"true">>]], End <- Ends],
    [begin
        Me = launcher:name(Prefix),
        Listener = wire:listen(Me),
        Asked = puppet:begin_(puppet:new(Node), {connect, Me}),
        Held = wire:accept(Listener),
        {ok, <<$N, _/binary>>} = wire:recv(Held),
        Ours = wire:connect(Node),
        ok = wire:send(Ours, wire:name(Me)),
        ?is({ok, Status}, wire:recv(Ours)),
        End(Ours),
        End(Held),
        %% A subject that dials once more finds nobody.
        wire:close(Listener),
        ?is(false, puppet:answer(Asked)),
        wire:whole(Node, Me)
    end || {Prefix, Status} <- [{aaa, <<"snok">>}, {zzz, <<"sok_simultaneous">>}], End <- Ends],
    true = erlang:disconnect_node(Node).

crowd(Node) ->
    Sockets = [begin
        Socket = wire:connect(Node),
        ok = wire:send(Socket, binary:part(wire:name(launcher:name(crowd)), 0, N rem 20 + 1)),
        Socket
    end || N <- lists:seq(1, 100)],
    wire:whole(Node, launcher:name(raw)),
    [wire:reset(Socket) || Socket <- Sockets],
    wire:whole(Node, launcher:name(raw)).

%% Refused at once.
dialler_lies(Node) ->
    Name = wire:name(launcher:name(raw)),
    <<_:16, $N, Flags:64, _/binary>> = Name,
    [wire:before_time(Node, fun() ->
        Socket = wire:connect(Node),
        ok = wire:send(Socket, Lie),
        refused(Socket)
    end) || Lie <- [
        <<0:16>>,
        wire:frame(<<"X">>),
        wire:frame(<<"hello, who is there?">>),
        wire:frame(binary:part(Name, 2, 12)),
        wire:frame(<<$N, Flags:64, 1:32, 500:16, "short@127.0.0.1">>),
        wire:frame(<<$N, Flags:64, 1:32, 0:16>>),
        wire:frame(<<$N, Flags:64, 1:32, 7:16, "no_host">>),
        wire:frame(<<$N, Flags:64, 1:32, 13:16, 255, 254, "a@127.0.0.1">>)
    ]],
    %% Later steps.
    [wire:before_time(Node, fun() ->
        Socket = wire:connect(Node),
        {_, Challenge} = wire:greet(Socket, wire:name(launcher:name(raw))),
        ok = wire:send(Socket, Lie(Challenge)),
        refused(Socket)
    end) || Lie <- [
        fun(_) -> wire:frame(<<"r">>) end,
        fun(_) -> wire:frame(<<>>) end,
        fun(Challenge) -> wire:ack(Challenge) end
    ]],
    wire:whole(Node, launcher:name(raw)).

%% Told so, or not; closed in either case.
refused(Socket) ->
    case wire:recv(Socket, 30000) of
        {ok, <<$s, "not_allowed", _/binary>>} -> wire:closed(Socket);
        {ok, <<$s, "nok", _/binary>>} -> wire:closed(Socket);
        {ok, Other} -> error({taken_for_a_peer, Other});
        {error, timeout} -> error(still_open);
        {error, _} -> wire:close(Socket)
    end.

%% The beginning of a long frame: only the time for a handshake, which is short here, ends it.
dialler_stops(_) ->
    Node = impatient(),
    Sockets = [begin
        Socket = wire:connect(Node),
        [{_, _} = wire:greet(Socket, wire:name(launcher:name(raw))) || Greets],
        ok = wire:send(Socket, Begun),
        Socket
    end || {Greets, Begun} <- [{false, <<"GET / HTTP/1.1\r\nHost: here\r\n\r\n">>}, {true, <<16#ffff:16, 0:80>>}]],
    [wire:closed(Socket) || Socket <- Sockets],
    wire:whole(Node, launcher:name(raw)),
    true = erlang:disconnect_node(Node).

impatient() ->
    {Node, _} = launcher:start(silent, [{setuptime, 3}]),
    check:until(connected, fun() -> net_kernel:connect_node(Node) end),
    Node.

listener_lies(_) ->
    Node = patient(),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    Pid = puppet:new(Node),
    Ok = wire:status(<<"ok">>),
    [lied(Node, Pid, Me, Listener, Lie) || Lie <- [
        wire:frame(<<"X">>),
        wire:status(<<"perhaps">>),
        [Ok, wire:frame(<<"N">>)],
        [Ok, wire:frame(<<$N, 0:64>>)],
        [Ok, wire:challenge('another@127.0.0.1', 77)],
        [Ok, wire:ack(77)]
    ]],
    taken(Node, Pid, Me, Listener).

listener_stops(_) ->
    Node = impatient(),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    Pid = puppet:new(Node),
    lied(Node, Pid, Me, Listener, <<"HTTP/1.1 400 Bad Request\r\n\r\n">>),
    taken(Node, Pid, Me, Listener).

%% Nothing comes of it, and the subject ends the connection.
lied(Node, Pid, Me, Listener, Lie) ->
    Asked = puppet:begin_(Pid, {connect, Me}),
    Socket = wire:accept(Listener),
    {ok, <<$N, _/binary>>} = wire:recv(Socket),
    ok = wire:send(Socket, Lie),
    ?is({Lie, false}, {Lie, puppet:answer(Asked)}),
    wire:closed(Socket),
    wire:close(Socket),
    ?is(false, lists:member(Me, puppet:ask({subject, Node}, nodes))).

%% One that follows the protocol is.
taken(Node, Pid, Me, Listener) ->
    Asked = puppet:begin_(Pid, {connect, Me}),
    {Socket, Node} = wire:take(Listener, Me),
    ?is(true, puppet:answer(Asked)),
    wire:close(Socket),
    wire:close(Listener),
    true = erlang:disconnect_node(Node).

refuses(_) ->
    Node = patient(),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    Pid = puppet:new(Node),
    lied(Node, Pid, Me, Listener, wire:status(<<"not_allowed">>)),
    taken(Node, Pid, Me, Listener).

%% After `nok` a node may wait for the connection that the other is about to make, as long as a handshake may take.
nok(_) ->
    Node = impatient(),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    Pid = puppet:new(Node),
    lied(Node, Pid, Me, Listener, wire:status(<<"nok">>)),
    taken(Node, Pid, Me, Listener).

%% The time for a handshake of these subjects is short.
silent_dialler(_) ->
    Node = impatient(),
    Sockets = [wire:connect(Node) || _ <- lists:seq(1, 5)],
    Half = wire:connect(Node),
    {_, _} = wire:greet(Half, wire:name(launcher:name(raw))),
    [wire:closed(Socket) || Socket <- [Half | Sockets]],
    ?is(alive, puppet:ask({subject, Node}, {echo, alive})),
    true = erlang:disconnect_node(Node).

silent_listener(_) ->
    Node = impatient(),
    Me = launcher:name(raw),
    Listener = wire:listen(Me),
    [begin
        Pid = puppet:new(Node),
        Asked = puppet:begin_(Pid, {connect, Me}),
        Socket = wire:accept(Listener),
        [begin {ok, _} = wire:recv(Socket), ok = wire:send(Socket, Say) end || Say =/= <<>>],
        ?is(false, puppet:answer(Asked)),
        wire:closed(Socket)
    end || Say <- [<<>>, wire:status(<<"ok">>)]],
    wire:close(Listener),
    true = erlang:disconnect_node(Node).

%% Without what a handshake of today needs.
flags(Node) ->
    [wire:before_time(Node, fun() ->
        Socket = wire:connect(Node),
        {Status, none} = ?like({_, none}, wire:greet(Socket, wire:name(launcher:name(raw), Flags))),
        ?is(<<"not_allowed">>, Status),
        wire:closed(Socket)
    end) || Flags <- [0, 1, wire:flags() band bnot ((1 bsl 24) bor (1 bsl 26))]].

future(Node) ->
    Me = launcher:name(raw),
    %% All that is not known yet, but what would change the frames, and the name.
    Flags = wire:flags() bor (16#ffffff bsl 40),
    Socket = wire:dial(Node, Me, Flags),
    wire:control(Socket, {6, wire:pid(Me), '', subject}, {ask, wire:pid(Me), 2, {echo, well}}),
    ?is({answer, 2, well}, wire:answer(Socket)),
    wire:close(Socket).

segments(Node) ->
    Me = launcher:name(raw),
    Socket = wire:connect(Node),
    Name = <<(wire:name(Me))/binary>>,
    [ok = wire:send(Socket, <<Byte>>) || <<Byte>> <= Name],
    {ok, <<"sok">>} = wire:recv(Socket),
    {ok, <<$N, _:64, Challenge:32, _/binary>>} = wire:recv(Socket),
    %% The reply, and the first frames behind it before the acknowledgement is read.
    Ask = fun(N) ->
        Control = term_to_binary({6, wire:pid(Me), '', subject}),
        wire:frame(32, <<112, Control/binary, (term_to_binary({ask, wire:pid(Me), N, {echo, N}}))/binary>>)
    end,
    ok = wire:send(Socket, [wire:reply(Challenge, 5), Ask(1), <<0:32>>, Ask(2)]),
    {ok, <<$a, _/binary>>} = wire:recv(Socket),
    ?is({answer, 1, 1}, wire:answer(Socket)),
    ?is({answer, 2, 2}, wire:answer(Socket)),
    [ok = wire:send(Socket, <<Byte>>) || <<Byte>> <= Ask(3)],
    ?is({answer, 3, 3}, wire:answer(Socket)),
    wire:close(Socket).

%% A second connection under the name of one that lives: asked whether it is meant, and the older one gives way.
alive(Node) ->
    Me = launcher:name(raw),
    First = wire:dial(Node, Me),
    Given = wire:connect(Node),
    ok = wire:send(Given, wire:name(Me)),
    ?is({ok, <<"salive">>}, wire:recv(Given)),
    ok = wire:send(Given, wire:status(<<"false">>)),
    wire:closed(Given),
    wire:control(First, {6, wire:pid(Me), '', subject}, {ask, wire:pid(Me), 3, {echo, still}}),
    ?is({answer, 3, still}, wire:answer(First)),
    Second = wire:connect(Node),
    ok = wire:send(Second, wire:name(Me)),
    ?is({ok, <<"salive">>}, wire:recv(Second)),
    ok = wire:send(Second, wire:status(<<"true">>)),
    {ok, <<$N, _:64, Challenge:32, _/binary>>} = wire:recv(Second),
    ok = wire:send(Second, wire:reply(Challenge, 5)),
    {ok, <<$a, _/binary>>} = wire:recv(Second),
    wire:closed(First),
    wire:control(Second, {6, wire:pid(Me), '', subject}, {ask, wire:pid(Me), 4, {echo, new}}),
    ?is({answer, 4, new}, wire:answer(Second)),
    wire:close(Second).
