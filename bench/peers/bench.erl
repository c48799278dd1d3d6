%% An OTP node that is measured. It takes commands as lines on standard input and answers with lines that begin with "@ ";
%% bench/README.md lists them.
-module(bench).
-behaviour(gen_server).

-export([start/0, init/1, handle_call/3, handle_cast/2]).

start() ->
    spawn(fun() ->
        register(echo, spawn(fun echo/0)),
        register(store, spawn(fun echo/0)),
        {ok, _} = gen_server:start({local, adder}, ?MODULE, [], []),
        say("ready", []),
        commands()
    end).

commands() ->
    case io:get_line("") of
        eof ->
            halt();
        Line ->
            [Word | Fields] = string:lexemes(string:trim(Line), " "),
            command(Word, maps:from_list([field(F) || F <- Fields])),
            commands()
    end.

field(Text) ->
    [Key, Value] = string:split(Text, "="),
    {list_to_atom(Key), Value}.

command("take", #{senders := Senders, count := Count, size := Size}) ->
    take(int(Senders), int(Count), int(Size));
command("send", #{to := To, senders := Senders, count := Count, size := Size, fresh := Fresh}) ->
    %% The receiver ended the last connection; this side may not have seen that yet.
    [begin erlang:disconnect_node(list_to_atom(To)), gone(list_to_atom(To)) end || Fresh =:= "true"],
    send(list_to_atom(To), int(Senders), int(Count), int(Size));
command("serve", _) ->
    say("serving", []);
command("ping", #{to := To, count := Count}) ->
    ping(list_to_atom(To), int(Count));
command("call", #{to := To, callers := Callers, count := Count}) ->
    call(list_to_atom(To), int(Callers), int(Count));
command("transfer", #{to := To, count := Count, size := Size, transfers := Transfers}) ->
    transfer(list_to_atom(To), int(Count), int(Size), int(Transfers));
command("connect", #{to := To, count := Count}) ->
    quantiles("connected", [connect(list_to_atom(To)) || _ <- lists:seq(1, int(Count))]).

int(Text) -> list_to_integer(Text).

say(Format, Args) -> io:put_chars(["@ ", io_lib:format(Format, Args), $\n]).

%% One-way: the sink takes the time from the first message to the last.

take(Senders, Count, Size) ->
    Asker = self(),
    spawn_link(fun() ->
        register(sink, self()),
        Asker ! listening,
        Last = maps:from_list([{S, 0} || S <- lists:seq(1, Senders)]),
        sink(Senders * Count, Size, Last)
    end),
    receive listening -> say("taking", []) end.

sink(Left, Size, Last) ->
    receive
        {hello, From} ->
            From ! {welcome, self()},
            sink(Left, Size, Last);
        Message ->
            Begun = erlang:monotonic_time(),
            sink(Message, Left, Size, Last, 0, Begun)
    end.

sink(Message, Left, Size, Last, Sum, Begun) ->
    {Sender, Seq} = content(Message, Size),
    Before = Seq - 1,
    #{Sender := Before} = Last,
    case Left of
        1 ->
            Ended = erlang:monotonic_time(),
            say("took ns=~b sum=~b", [ns(Ended - Begun), Sum + Seq]);
        _ ->
            receive
                Next -> sink(Next, Left - 1, Size, Last#{Sender := Seq}, Sum + Seq, Begun)
            end
    end.

content({msg, Sender, Seq}, 0) -> {Sender, Seq};
content({msg, Sender, Seq, Binary}, Size) when byte_size(Binary) =:= Size -> {Sender, Seq}.

send(To, Senders, Count, Size) ->
    Sink = meet(sink, To),
    Binary = binary:copy(<<7>>, Size),
    Asker = self(),
    Pids = [spawn_link(fun() ->
        case Size of
            0 -> small(Sink, S, 1, Count);
            _ -> large(Sink, S, 1, Count, Binary)
        end,
        Asker ! {sent, self()}
    end) || S <- lists:seq(1, Senders)],
    [receive {sent, P} -> ok end || P <- Pids],
    say("sent", []).

meet(Name, To) ->
    {Name, To} ! {hello, self()},
    receive {welcome, Pid} -> Pid end.

small(_, _, Seq, Count) when Seq > Count -> ok;
small(Sink, Sender, Seq, Count) ->
    Sink ! {msg, Sender, Seq},
    small(Sink, Sender, Seq + 1, Count).

large(_, _, Seq, Count, _) when Seq > Count -> ok;
large(Sink, Sender, Seq, Count, Binary) ->
    Sink ! {msg, Sender, Seq, Binary},
    large(Sink, Sender, Seq + 1, Count, Binary).

%% There and back.

echo() ->
    receive
        {hello, From} -> From ! {welcome, self()};
        {ping, From, Seq} -> From ! {pong, Seq};
        {blob, From, Binary} -> From ! {size, byte_size(Binary)}
    end,
    echo().

ping(To, Count) ->
    Asker = self(),
    spawn_link(fun() ->
        Echo = meet(echo, To),
        Asker ! {times, pings(Echo, 1, Count, [])}
    end),
    receive {times, Times} -> quantiles("pinged", Times) end.

pings(_, Seq, Count, Times) when Seq > Count -> Times;
pings(Echo, Seq, Count, Times) ->
    Begun = erlang:monotonic_time(),
    Echo ! {ping, self(), Seq},
    receive {pong, Seq} -> ok end,
    pings(Echo, Seq + 1, Count, [erlang:monotonic_time() - Begun | Times]).

quantiles(Word, Times) ->
    {P50, P99, _} = at(Times),
    say("~s p50=~b p99=~b ns=~b", [Word, P50, P99, ns(lists:sum(Times))]).

at(Times) ->
    Sorted = list_to_tuple(lists:sort(Times)),
    Count = tuple_size(Sorted),
    At = fun(Q) -> ns(element(min(Count, trunc(Count * Q) + 1), Sorted)) end,
    {At(0.5), At(0.99), Count}.

ns(Native) -> erlang:convert_time_unit(Native, native, nanosecond).

%% Pings while another process sends large binaries, one after another.

transfer(To, Count, Size, Transfers) ->
    Asker = self(),
    spawn_link(fun() ->
        Echo = meet(echo, To),
        Idle = pings(Echo, 1, Count, []),
        Self = self(),
        spawn_link(fun() ->
            Store = meet(store, To),
            Binary = binary:copy(<<7>>, Size),
            Self ! begun,
            Begun = erlang:monotonic_time(),
            [begin
                Store ! {blob, self(), Binary},
                receive {size, Size} -> ok end
            end || _ <- lists:seq(1, Transfers)],
            Self ! {ended, erlang:monotonic_time() - Begun}
        end),
        receive begun -> ok end,
        Asker ! {Idle, meanwhile(Echo, 1, [])}
    end),
    receive
        {Idle, {Busy, Took}} ->
            {P50, P99, _} = at(Idle),
            {Busy50, Busy99, Pings} = at(Busy),
            say("transferred ns=~b pings=~b idle50=~b idle99=~b p50=~b p99=~b", [ns(Took), Pings, P50, P99, Busy50, Busy99])
    end.

meanwhile(Echo, Seq, Times) ->
    receive
        {ended, Took} -> {Times, Took}
    after 0 ->
        meanwhile(Echo, Seq + 1, pings(Echo, Seq, Seq, Times))
    end.

connect(To) ->
    Begun = erlang:monotonic_time(),
    true = net_kernel:connect_node(To),
    Took = erlang:monotonic_time() - Begun,
    true = erlang:disconnect_node(To),
    ok = gone(To),
    %% Until the other side has seen the end.
    timer:sleep(2),
    Took.

gone(To) ->
    case lists:member(To, nodes(connected)) of
        true -> erlang:yield(), gone(To);
        false -> ok
    end.

%% A gen_server that is called.

call(To, Callers, Count) ->
    Asker = self(),
    true = net_kernel:connect_node(To),
    Begun = erlang:monotonic_time(),
    Pids = [spawn_link(fun() -> Asker ! {sum, self(), calls({adder, To}, 1, Count, 0)} end) || _ <- lists:seq(1, Callers)],
    Sum = lists:sum([receive {sum, Pid, Part} -> Part end || Pid <- Pids]),
    say("called ns=~b sum=~b", [ns(erlang:monotonic_time() - Begun), Sum]).

calls(_, N, Count, Sum) when N > Count -> Sum;
calls(Server, N, Count, Sum) -> calls(Server, N + 1, Count, Sum + gen_server:call(Server, {add, N})).

init([]) -> {ok, nothing}.

handle_call({add, N}, _From, State) -> {reply, N + 1, State}.

handle_cast(_, State) -> {noreply, State}.
