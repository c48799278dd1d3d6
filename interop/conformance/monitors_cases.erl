%% Monitors of processes and names, from both sides.
-module(monitors_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {every_reason_by_pid_and_by_name, fun reasons/1},
        {every_reason_of_ours, fun reasons_of_ours/1},
        {nobody_is_noproc, fun noproc/1},
        {nobody_of_ours_is_noproc, fun noproc_ours/1},
        {a_name_given_up_is_still_monitored, fun name_given_up/1},
        {many_monitors_of_one, fun many/1},
        {demonitored_is_silent, fun demonitored/1},
        {demonitor_with_flush, fun flush/1},
        {demonitor_with_flush_while_down_is_in_flight, fun flush_in_flight/1},
        {demonitor_with_flush_by_the_subject, fun flush_theirs/1},
        {demonitored_twice_or_unknown, fun unknown/1},
        {messages_before_a_down_arrive_before_it, fun order/1},
        {links_and_monitors_both_tell, fun both/1}
    ].

reasons(Node) ->
    [begin
        Pid = puppet:new(Node),
        Name = free(watched),
        true = puppet:ask(Pid, {register, Name}),
        ByPid = monitor(process, Pid),
        ByName = monitor(process, {Name, Node}),
        puppet:die(Pid, Reason),
        ?is(Reason, ?get({'DOWN', ByPid, process, Pid, Why}, Why)),
        ?is({{Name, Node}, Reason}, ?get({'DOWN', ByName, process, Who, How}, {Who, How}))
    end || Reason <- [normal, shutdown, kill, {a, <<"b">>, 3}, 'αβγ']],
    Killed = puppet:new(Node, [trap]),
    Monitor = monitor(process, Killed),
    exit(Killed, kill),
    ?is(killed, ?get({'DOWN', Monitor, process, Killed, Why}, Why)),
    puppet:settled(Node),
    ?nothing().

reasons_of_ours(Node) ->
    Pid = puppet:new(Node),
    [begin
        Name = free(ours),
        Mine = spawn(fun() -> register(Name, self()), receive go -> exit(Reason) end end),
        check:until(registered, fun() -> whereis(Name) =:= Mine end),
        [ByPid, ByName] = puppet:ask(Pid, {all, [{monitor, Mine}, {monitor, {Name, node()}}]}),
        Mine ! go,
        Wanted = [{'DOWN', ByPid, process, Mine, Reason}, {'DOWN', ByName, process, {Name, node()}, Reason}],
        ?is(lists:sort(Wanted), lists:sort(puppet:ask(Pid, {take, 2, 20000})))
    end || Reason <- [normal, shutdown, kill, {a, <<"b">>, 3}, 'αβγ']].

noproc(Node) ->
    Dead = puppet:new(Node),
    First = monitor(process, Dead),
    puppet:die(Dead, gone),
    ?get({'DOWN', First, _, _, gone}),
    Again = monitor(process, Dead),
    ?is({Dead, noproc}, ?get({'DOWN', Again, process, Who, Why}, {Who, Why})),
    Name = monitor(process, {'nobody has this', Node}),
    ?is({{'nobody has this', Node}, noproc}, ?get({'DOWN', Name, process, Whom, How}, {Whom, How})).

noproc_ours(Node) ->
    Pid = puppet:new(Node),
    Dead = spawn(fun() -> ok end),
    check:until(dead, fun() -> not is_process_alive(Dead) end),
    First = puppet:ask(Pid, {monitor, Dead}),
    ?is([{'DOWN', First, process, Dead, noproc}], puppet:ask(Pid, {take, 1, 20000})),
    Name = {'nobody has this', node()},
    Second = puppet:ask(Pid, {monitor, Name}),
    ?is([{'DOWN', Second, process, Name, noproc}], puppet:ask(Pid, {take, 1, 20000})).

%% What is monitored is the process that had the name then.
name_given_up(Node) ->
    Name = free(given_up),
    Pid = puppet:new(Node),
    true = puppet:ask(Pid, {register, Name}),
    Monitor = monitor(process, {Name, Node}),
    true = puppet:ask(Pid, {unregister, Name}),
    Other = puppet:new(Node),
    true = puppet:ask(Other, {register, Name}),
    puppet:die(Other, another),
    puppet:settled(Node),
    ?nothing(),
    puppet:die(Pid, it),
    ?is({{Name, Node}, it}, ?get({'DOWN', Monitor, process, Who, Why}, {Who, Why})).

many(Node) ->
    Pid = puppet:new(Node),
    Monitors = [monitor(process, Pid) || _ <- lists:seq(1, 1000)],
    puppet:die(Pid, {all, 'of', them}),
    [?get({'DOWN', Monitor, process, Pid, {all, 'of', them}}) || Monitor <- Monitors],
    Theirs = puppet:new(Node),
    Mine = spawn(fun() -> receive go -> ok end end),
    Set = puppet:ask(Theirs, {all, [{monitor, Mine} || _ <- lists:seq(1, 200)]}),
    Mine ! go,
    Downs = puppet:ask(Theirs, {take, 200, 20000}),
    ?is(lists:sort(Set), lists:sort([Ref || {'DOWN', Ref, process, _, normal} <- Downs])).

demonitored(Node) ->
    Pid = puppet:new(Node),
    demonitor(monitor(process, Pid)),
    Kept = monitor(process, Pid),
    puppet:die(Pid, gone),
    ?get({'DOWN', Kept, _, _, gone}),
    puppet:settled(Node),
    ?nothing(),
    Theirs = puppet:new(Node),
    Mine = spawn(fun() -> receive go -> ok end end),
    Lost = puppet:ask(Theirs, {monitor, Mine}),
    Other = puppet:ask(Theirs, {monitor, Mine}),
    ok = puppet:ask(Theirs, {demonitor, Lost}),
    Mine ! go,
    ?is([{'DOWN', Other, process, Mine, normal}], puppet:ask(Theirs, {take, 2, 100})).

%% A DOWN that has come already is taken out of the mailbox, and nothing else.
flush(Node) ->
    Pid = puppet:new(Node),
    Kept = monitor(process, Pid),
    Monitor = monitor(process, Pid),
    self() ! before,
    puppet:die(Pid, gone),
    check:until(two_downs, fun() -> {message_queue_len, 3} =:= process_info(self(), message_queue_len) end),
    true = demonitor(Monitor, [flush]),
    ?is([before, {'DOWN', Kept, process, Pid, gone}], check:flush()),
    false = demonitor(Monitor, [flush, info]).

flush_in_flight(Node) ->
    check:each(300, fun(Round) ->
        Pid = puppet:new(Node),
        Monitor = monitor(process, Pid),
        puppet:die(Pid, Round),
        [erlang:yield() || _ <- lists:seq(1, Round rem 50)],
        demonitor(Monitor, [flush]),
        ?nothing()
    end),
    puppet:settled(Node),
    ?nothing().

flush_theirs(Node) ->
    Theirs = puppet:new(Node),
    check:each(300, fun(Round) ->
        Mine = spawn(fun() -> receive go -> exit(Round) end end),
        Monitor = puppet:ask(Theirs, {monitor, Mine}),
        Mine ! go,
        [timer:sleep(1) || Round rem 3 =:= 0],
        ok = puppet:ask(Theirs, {demonitor_flush, Monitor}),
        Theirs ! {after_flush, Round},
        ?is([{after_flush, Round}], puppet:ask(Theirs, {take, 1, 20000}))
    end),
    ?is([], puppet:ask(Theirs, {take, 1, 50})).

unknown(Node) ->
    Pid = puppet:new(Node),
    Monitor = puppet:ask(Pid, {monitor, self()}),
    [ok = puppet:ask(Pid, {demonitor, Monitor}) || _ <- [1, 2]],
    ok = puppet:ask(Pid, {demonitor_flush, Monitor}),
    Mine = monitor(process, Pid),
    [true = demonitor(Mine) || _ <- [1, 2]],
    puppet:settled(Node),
    ?nothing().

order(Node) ->
    [begin
        Pid = puppet:new(Node),
        Monitor = monitor(process, Pid),
        Pid ! {ask, self(), none, {all, [{stream, self(), Pid, 1, 20, Bytes}, {exit, done}]}},
        ?is(lists:seq(1, 20) ++ [done], until_down(Pid, Monitor)),
        Theirs = puppet:new(Node),
        Mine = spawn(fun() ->
            receive go -> ok end,
            [Theirs ! {self(), N, <<N:32, 0:(Bytes * 8)>>} || N <- lists:seq(1, 20)]
        end),
        Watch = puppet:ask(Theirs, {monitor, Mine}),
        Mine ! go,
        Taken = puppet:ask(Theirs, {take, 21, 20000}),
        ?is([{'DOWN', Watch, process, Mine, normal}], lists:nthtail(20, Taken)),
        ?is(lists:seq(1, 20), [N || {From, N, _} <- Taken, From =:= Mine])
    end || Bytes <- [0, 1000, 300000]].

until_down(Pid, Monitor) ->
    receive
        {Pid, N, _} -> [N | until_down(Pid, Monitor)];
        {'DOWN', Monitor, _, _, Reason} -> [Reason]
    after 60000 -> [nothing]
    end.

both(Node) ->
    process_flag(trap_exit, true),
    Pid = puppet:new(Node, [{link, self()}]),
    Monitor = monitor(process, Pid),
    puppet:die(Pid, twice_told),
    ?get({'EXIT', Pid, twice_told}),
    ?get({'DOWN', Monitor, process, Pid, twice_told}),
    puppet:settled(Node),
    ?nothing().

%% A name that no other case uses.
free(Prefix) ->
    list_to_atom(atom_to_list(Prefix) ++ integer_to_list(erlang:unique_integer([positive]))).
