%% Links and exit signals between a process here and one of the subject.
-module(links_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {every_reason_reaches_a_process_that_traps, fun every_reason/1},
        {every_reason_of_ours_reaches_theirs, fun every_reason_of_ours/1},
        {a_process_that_does_not_trap_dies_with_us, fun dies_with_us/1},
        {we_die_with_theirs, fun we_die/1},
        {normal_ends_nobody, fun normal/1},
        {exit_2_ends_and_is_trapped, fun exit_2/1},
        {exit_2_of_the_subject, fun exit_2_theirs/1},
        {kill_is_not_trapped_and_becomes_killed, fun kill/1},
        {a_busy_process_is_killed, fun busy/1},
        {a_dead_process_is_noproc, fun dead/1},
        {linked_twice_is_linked_once, fun twice/1},
        {unlinked_is_silent, fun unlinked/1},
        {unlinked_and_linked_again, fun relinked/1},
        {unlinked_and_linked_again_by_the_subject, fun relinked_theirs/1},
        {unlink_while_an_exit_is_in_flight, fun in_flight/1},
        {unlink_by_the_subject_while_our_exit_is_in_flight, fun in_flight_ours/1},
        {both_unlink_at_once, fun both_unlink/1},
        {both_link_at_once, fun both_link/1},
        {a_link_made_by_one_side_is_cut_by_the_other, fun cut_by_other/1},
        {messages_before_an_exit_arrive_before_it, fun order/1},
        {large_reasons, fun large/1},
        {a_crash_is_an_exit, fun crash/1},
        {a_thousand_links, fun many/1}
    ].

reasons() ->
    [shutdown, normal, kill, {shutdown, restart}, "text", <<"binary">>, 0, -1.5, #{why => [1, 2]}, {badmatch, 1},
     killed, noproc, noconnection, 'ünïcode αβγ', make_ref(), self(), [[]], <<1:3>>].

trap() -> process_flag(trap_exit, true).

%% `Pid` ends for that reason, which is all that is heard.
exits(Pid, Reason) -> ?is(Reason, ?get({'EXIT', Pid, Why}, Why)).

%% It ends, which a monitor tells, and nothing else does.
ends_unheard(Node, Pid, Reason) ->
    Monitor = monitor(process, Pid),
    puppet:die(Pid, Reason),
    ?is(Reason, ?get({'DOWN', Monitor, process, Pid, Why}, Why)),
    quiet(Node),
    timer:sleep(50),
    quiet(Node).

%% Nothing of it is on its way: what it sent before this is here.
quiet(Node) -> puppet:settled(Node), ?nothing().

every_reason(Node) ->
    trap(),
    [begin
        Pid = puppet:new(Node, [{link, self()}]),
        puppet:die(Pid, Reason),
        exits(Pid, Reason)
    end || Reason <- reasons()],
    quiet(Node).

every_reason_of_ours(Node) ->
    [begin
        Pid = puppet:new(Node, [trap]),
        Mine = spawn(fun() -> link(Pid), exit(Reason) end),
        ?is([{'EXIT', Mine, Reason}], puppet:ask(Pid, {take, 1, 20000}))
    end || Reason <- reasons()].

dies_with_us(Node) ->
    [begin
        Pid = puppet:new(Node),
        Monitor = monitor(process, Pid),
        spawn(fun() -> link(Pid), exit(Reason) end),
        ?is(Reason, ?get({'DOWN', Monitor, process, Pid, Why}, Why))
    end || Reason <- reasons() -- [normal, kill]].

we_die(Node) ->
    Pid = puppet:new(Node),
    {Mine, Monitor} = spawn_monitor(fun() -> link(Pid), timer:sleep(infinity) end),
    check:until(linked, fun() -> process_info(Mine, links) =:= {links, [Pid]} end),
    puppet:die(Pid, because),
    ?is(because, ?get({'DOWN', Monitor, process, Mine, Why}, Why)).

normal(Node) ->
    Pid = puppet:new(Node),
    {Mine, Monitor} = spawn_monitor(fun() -> link(Pid) end),
    ?get({'DOWN', Monitor, _, Mine, normal}),
    ?is([], puppet:ask(Pid, {take, 1, 20})),
    Other = puppet:new(Node, [{link, self()}]),
    ends_unheard(Node, Other, normal).

exit_2(Node) ->
    Pid = puppet:new(Node, [trap]),
    Me = self(),
    Reasons = reasons() -- [kill],
    [exit(Pid, Reason) || Reason <- Reasons],
    ?is([{'EXIT', Me, Reason} || Reason <- Reasons], puppet:ask(Pid, {take, length(Reasons), 20000})),
    Other = puppet:new(Node),
    Monitor = monitor(process, Other),
    exit(Other, normal),
    ?is(alive, puppet:ask(Other, {echo, alive})),
    exit(Other, {really, ended}),
    ?is({really, ended}, ?get({'DOWN', Monitor, process, Other, Why}, Why)).

exit_2_theirs(Node) ->
    trap(),
    Pid = puppet:new(Node),
    Reasons = reasons() -- [kill],
    [ok = puppet:ask(Pid, {exit, self(), Reason}) || Reason <- Reasons],
    [exits(Pid, Reason) || Reason <- Reasons],
    {Mine, Monitor} = spawn_monitor(fun() -> timer:sleep(infinity) end),
    puppet:ask(Pid, {exit, Mine, normal}),
    puppet:ask(Pid, {exit, Mine, enough}),
    ?is(enough, ?get({'DOWN', Monitor, _, Mine, Why}, Why)).

kill(Node) ->
    trap(),
    Pid = puppet:new(Node, [trap, {link, self()}]),
    Monitor = monitor(process, Pid),
    exit(Pid, kill),
    ?is(killed, ?get({'DOWN', Monitor, _, Pid, Why}, Why)),
    exits(Pid, killed),
    Killer = puppet:new(Node),
    {Mine, Mine_} = spawn_monitor(fun() -> process_flag(trap_exit, true), timer:sleep(infinity) end),
    puppet:ask(Killer, {exit, Mine, kill}),
    ?is(killed, ?get({'DOWN', Mine_, _, Mine, How}, How)).

%% In the middle of what it does.
busy(Node) ->
    trap(),
    [begin
        Pid = puppet:new(Node, [{link, self()}]),
        Pid ! {ask, self(), none, Command},
        puppet:settled(Node),
        exit(Pid, Signal),
        exits(Pid, Reason),
        puppet:settled(Node),
        [?is(none, Tag) || {answer, Tag, _} <- check:flush()]
    end || Command <- [{take, 1, 60000}, {bulk, self(), bulk, 100000, 1, 16}, {erpc, node(), timer, sleep, [5000], 60000}],
           {Signal, Reason} <- [{kill, killed}, {stop, stop}]].

dead(Node) ->
    trap(),
    Dead = puppet:new(Node),
    Monitor = monitor(process, Dead),
    puppet:die(Dead, gone),
    ?get({'DOWN', Monitor, _, _, gone}),
    link(Dead),
    exits(Dead, noproc),
    %% and the other way round
    Mine = spawn(fun() -> ok end),
    check:until(ended, fun() -> not is_process_alive(Mine) end),
    Pid = puppet:new(Node, [trap]),
    ok = puppet:ask(Pid, {link, Mine}),
    ?is([{'EXIT', Mine, noproc}], puppet:ask(Pid, {take, 1, 20000})),
    %% signals to the dead vanish
    exit(Dead, hello), unlink(Dead), Dead ! hello,
    quiet(Node).

twice(Node) ->
    trap(),
    Pid = puppet:new(Node, [{link, self()}]),
    link(Pid), link(Pid),
    ok = puppet:ask(Pid, {link, self()}),
    puppet:die(Pid, once),
    exits(Pid, once),
    quiet(Node).

unlinked(Node) ->
    trap(),
    Pid = puppet:new(Node, [{link, self()}]),
    unlink(Pid),
    ends_unheard(Node, Pid, unheard),
    Other = puppet:new(Node, [{link, self()}]),
    ok = puppet:ask(Other, {unlink, self()}),
    ends_unheard(Node, Other, unheard).

%% An acknowledgement that is late must not take the new link with it. The subject has no other traffic: on a connection that is
%% full OTP itself loses a link that is made again (README.md).
relinked(_) ->
    Node = alone(),
    trap(),
    check:each(200, fun(Round) ->
        Pid = puppet:new(Node),
        link(Pid), unlink(Pid), link(Pid), unlink(Pid), link(Pid),
        puppet:die(Pid, Round),
        exits(Pid, Round)
    end),
    quiet(Node),
    true = erlang:disconnect_node(Node).

relinked_theirs(_) ->
    Node = alone(),
    check:each(100, fun(Round) ->
        Pid = puppet:new(Node, [trap]),
        Mine = spawn(fun() -> receive Reason -> exit(Reason) end end),
        puppet:ask(Pid, {all, [{link, Mine}, {unlink, Mine}, {link, Mine}, {unlink, Mine}, {link, Mine}]}),
        Mine ! Round,
        ?is([{'EXIT', Mine, Round}], puppet:ask(Pid, {take, 1, 20000})),
        ?is([], puppet:ask(Pid, {take, 1, 0}))
    end),
    true = erlang:disconnect_node(Node).

alone() ->
    {Node, _} = launcher:start(links),
    true = net_kernel:connect_node(Node),
    Node.

%% After unlink/1 nothing comes any more, whatever was on its way.
in_flight(Node) ->
    trap(),
    check:each(300, fun(Round) ->
        Pid = puppet:new(Node, [{link, self()}]),
        Monitor = monitor(process, Pid),
        puppet:die(Pid, Round),
        [erlang:yield() || _ <- lists:seq(1, Round rem 50)],
        unlink(Pid),
        receive {'EXIT', Pid, _} -> ok after 0 -> ok end,
        ?is(Round, ?get({'DOWN', Monitor, _, _, Why}, Why)),
        puppet:settled(Node),
        ?nothing()
    end).

in_flight_ours(Node) ->
    check:each(200, fun(Round) ->
        Pid = puppet:new(Node, [trap]),
        Mine = spawn(fun() -> receive Reason -> exit(Reason) end end),
        Other = spawn(fun() -> timer:sleep(infinity) end),
        ok = puppet:ask(Pid, {link, Mine}),
        Asked = puppet:begin_(Pid, {all, [{unlink, Mine}, {take, 1, 0}, {link, Other}]}),
        Mine ! Round,
        ?like([ok, _, ok], puppet:answer(Asked)),
        puppet:settled(Node),
        %% Only what is linked still is heard.
        exit(Other, Round),
        ?is([{'EXIT', Other, Round}], puppet:ask(Pid, {take, 1, 20000}))
    end).

both_unlink(Node) ->
    trap(),
    check:each(200, fun(Round) ->
        Pid = puppet:new(Node, [{link, self()}]),
        Asked = puppet:begin_(Pid, {unlink, self()}),
        unlink(Pid),
        ok = puppet:answer(Asked),
        Monitor = monitor(process, Pid),
        puppet:die(Pid, Round),
        ?get({'DOWN', Monitor, _, _, Round}),
        ?nothing()
    end).

both_link(Node) ->
    trap(),
    check:each(200, fun(Round) ->
        Pid = puppet:new(Node),
        Asked = puppet:begin_(Pid, {link, self()}),
        link(Pid),
        ok = puppet:answer(Asked),
        puppet:die(Pid, Round),
        exits(Pid, Round)
    end),
    quiet(Node).

cut_by_other(Node) ->
    Pid = puppet:new(Node, [trap]),
    Mine = spawn(fun() -> link(Pid), receive cut -> unlink(Pid) end, receive Reason -> exit(Reason) end end),
    check:until(linked, fun() -> process_info(Mine, links) =:= {links, [Pid]} end),
    Mine ! cut,
    check:until(cut, fun() -> process_info(Mine, links) =:= {links, []} end),
    puppet:settled(Node),
    Mine ! unheard,
    ?is([], puppet:ask(Pid, {take, 1, 50})).

order(Node) ->
    trap(),
    [begin
        Pid = puppet:new(Node, [{link, self()}]),
        Pid ! {ask, self(), none, {all, [{stream, self(), Pid, 1, 20, Bytes}, {exit, done}]}},
        ?is(lists:seq(1, 20) ++ [done], until_exit(Pid)),
        %% and the other way round
        Theirs = puppet:new(Node, [trap]),
        Mine = spawn(fun() ->
            link(Theirs),
            [Theirs ! {self(), N, <<N:32, 0:(Bytes * 8)>>} || N <- lists:seq(1, 20)],
            exit(done)
        end),
        Taken = puppet:ask(Theirs, {take, 21, 20000}),
        ?is([{'EXIT', Mine, done}], lists:nthtail(20, Taken)),
        ?is(lists:seq(1, 20), [N || {From, N, _} <- Taken, From =:= Mine])
    end || Bytes <- [0, 1000, 300000]].

until_exit(Pid) ->
    receive
        {Pid, N, _} -> [N | until_exit(Pid)];
        {'EXIT', Pid, Reason} -> [Reason]
    after 20000 -> [nothing]
    end.

%% Not one process with a link and a monitor: OTP 25 turns in circles over a large reason that both tell.
large(Node) ->
    trap(),
    Reason = {large, binary:copy(<<"reason">>, 500000), lists:seq(1, 100000)},
    [Linked, Watched] = puppet:several(Node, 2),
    link(Linked),
    Monitor = monitor(process, Watched),
    [exit(Pid, Reason) || Pid <- [Linked, Watched]],
    exits(Linked, Reason),
    ?is(Reason, ?get({'DOWN', Monitor, _, _, Why}, Why)),
    Theirs = puppet:new(Node, [trap]),
    Mine = spawn(fun() -> link(Theirs), exit(Reason) end),
    ?is([{'EXIT', Mine, Reason}], puppet:ask(Theirs, {take, 1, 20000})).

%% A fault of the program: the reason tells of it.
crash(Node) ->
    trap(),
    Pid = puppet:new(Node, [{link, self()}]),
    Monitor = monitor(process, Pid),
    Pid ! {ask, self(), none, crash},
    Reason = ?get({'EXIT', Pid, Why}, Why),
    ?is(true, is_tuple(Reason)),
    ?is(Reason, ?get({'DOWN', Monitor, _, _, How}, How)).

many(Node) ->
    trap(),
    Pids = puppet:several(Node, 1000),
    [link(Pid) || Pid <- Pids],
    [puppet:die(Pid, {one, of_many}) || Pid <- Pids],
    [exits(Pid, {one, of_many}) || Pid <- Pids],
    Others = puppet:several(Node, 1000),
    Monitors = [monitor(process, Pid) || Pid <- Others],
    spawn(fun() -> [link(Pid) || Pid <- Others], exit({all, of_them}) end),
    [?get({'DOWN', Monitor, _, _, {all, of_them}}) || Monitor <- Monitors],
    quiet(Node).
