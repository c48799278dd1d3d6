%% Runs the cases of all groups, side by side where they do not disturb each other, and prints one line for each:
%% `case GROUP NAME ok|failed MILLISECONDS [WHY]`.
%%
%% `erl -name driver@127.0.0.1 ... -s conform start -launcher PORT [-groups NAME...]`
-module(conform).
-export([start/0]).

%% Lanes run side by side, the groups of a lane one after another.
lanes() ->
    [
        [ticks_cases],
        [handshake_cases, hostile_cases],
        [links_cases, signals_cases, monitors_cases, names_cases],
        [calls_cases, terms_cases, order_cases],
        [nodes_cases, cookies_cases],
        [simultaneous_cases],
        [tls_cases]
    ].

%% A case that takes longer is stuck.
-define(LIMIT, 300000).

start() ->
    {Main, _} = launcher:start(main),
    true = net_kernel:connect_node(Main),
    Wanted = wanted(),
    Lanes = [[Group || Group <- Lane, Wanted(Group)] || Lane <- lanes()],
    Running = [spawn_monitor(fun() -> exit({ran, lane(Lane, Main)}) end) || Lane <- Lanes],
    Failed = lists:sum([ended(Runner) || Runner <- Running]),
    io:format("done ~b failed~n", [Failed]),
    halt(min(Failed, 1)).

wanted() ->
    case init:get_argument(groups) of
        {ok, [Names]} -> fun(Group) -> lists:member(atom_to_list(Group), Names) end;
        error -> fun(_) -> true end
    end.

ended({Pid, Ref}) ->
    receive
        {'DOWN', Ref, _, Pid, {ran, Failed}} -> Failed;
        {'DOWN', Ref, _, Pid, Why} -> io:format("case lane broken failed 0 ~0tp~n", [Why]), 1
    end.

lane(Groups, Main) ->
    lists:sum([one(Group, Name, Fun, Main) || Group <- Groups, {Name, Fun} <- Group:cases()]).

one(Group, Name, Fun, Main) ->
    Start = erlang:monotonic_time(millisecond),
    {Pid, Ref} = spawn_monitor(fun() -> Fun(Main), exit(passed) end),
    Why = receive {'DOWN', Ref, _, Pid, Reason} -> Reason
          after ?LIMIT -> Stack = process_info(Pid, current_stacktrace), exit(Pid, kill), {stuck, Stack} end,
    erlang:demonitor(Ref, [flush]),
    report(Group, Name, Why, erlang:monotonic_time(millisecond) - Start).

report(Group, Name, passed, Ms) ->
    io:format("case ~s ~s ok ~b~n", [short(Group), Name, Ms]),
    0;
report(Group, Name, Why, Ms) ->
    Text = string:slice(io_lib:format("~0tp", [Why]), 0, 3000),
    io:format("case ~s ~s failed ~b ~ts~n", [short(Group), Name, Ms, Text]),
    1.

short(Group) -> lists:flatten(string:replace(atom_to_list(Group), "_cases", "")).
