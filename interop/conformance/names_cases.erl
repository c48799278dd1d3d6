%% Registered names.
-module(names_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {a_name_is_given_once, fun once/1},
        {a_name_is_free_when_its_process_ends, fun freed/1},
        {a_name_that_moves_takes_its_messages_along, fun moves/1},
        {many_want_one_name, fun race/1},
        {unicode_and_long_names, fun odd/1},
        {nobody_hears_it, fun nobody/1},
        {names_of_ours, fun ours/1}
    ].

free(Prefix) -> list_to_atom(atom_to_list(Prefix) ++ integer_to_list(erlang:unique_integer([positive]))).

once(Node) ->
    Name = free(once),
    [One, Two] = puppet:several(Node, 2),
    true = puppet:ask(One, {register, Name}),
    ?is(false, puppet:ask(Two, {register, Name})),
    ?is(false, puppet:ask(One, {register, free(second)})),
    ?is(One, puppet:ask(Two, {whereis, Name})),
    ?is(true, puppet:ask(One, {unregister, Name})),
    ?is(undefined, puppet:ask(Two, {whereis, Name})),
    ?is(false, puppet:ask(One, {unregister, Name})),
    ?is(true, puppet:ask(Two, {register, Name})).

freed(Node) ->
    Name = free(freed),
    check:each(100, fun(_) ->
        Pid = puppet:new(Node),
        true = puppet:ask(Pid, {register, Name}),
        Monitor = monitor(process, Pid),
        puppet:die(Pid, done),
        ?get({'DOWN', Monitor, _, _, done}),
        %% DOWN tells that the name is free.
        ?is(undefined, puppet:ask({subject, Node}, {whereis, Name}))
    end).

moves(Node) ->
    Name = free(moves),
    check:each(50, fun(Round) ->
        Pid = puppet:new(Node),
        true = puppet:ask(Pid, {register, Name}),
        {Name, Node} ! {to, Round},
        ?is([{to, Round}], puppet:ask(Pid, {take, 1, 20000})),
        true = puppet:ask(Pid, {unregister, Name}),
        {Name, Node} ! {lost, Round},
        ?is([], puppet:ask(Pid, {take, 1, 0}))
    end).

race(Node) ->
    check:each(30, fun(Round) ->
        Name = free(race),
        Pids = puppet:several(Node, 10),
        Asked = [puppet:begin_(Pid, {register, Name}) || Pid <- Pids],
        Won = [Pid || {Pid, One} <- lists:zip(Pids, Asked), puppet:answer(One)],
        [Winner] = ?like([_], Won),
        ?is(Winner, puppet:ask({subject, Node}, {whereis, Name})),
        {Name, Node} ! {winner, Round},
        ?is([{winner, Round}], puppet:ask(Winner, {take, 1, 20000}))
    end).

odd(Node) ->
    [begin
        Name = list_to_atom(Text),
        Pid = puppet:new(Node),
        true = puppet:ask(Pid, {register, Name}),
        {Name, Node} ! hello,
        ?is([hello], puppet:ask(Pid, {take, 1, 20000})),
        Monitor = monitor(process, {Name, Node}),
        puppet:die(Pid, bye),
        ?is({Name, Node}, ?get({'DOWN', Monitor, process, Who, bye}, Who))
    end || Text <- ["αβγ 😀", lists:duplicate(255, $x), lists:duplicate(255, 16#1F600), "", "'", "a@b"]].

%% Messages to nobody vanish, and nothing breaks.
nobody(Node) ->
    Dead = puppet:new(Node),
    Monitor = monitor(process, Dead),
    puppet:die(Dead, gone),
    ?get({'DOWN', Monitor, _, _, _}),
    [{free(nobody), Node} ! {hello, N} || N <- lists:seq(1, 100)],
    [Dead ! {hello, N} || N <- lists:seq(1, 100)],
    Large = binary:copy(<<"lost">>, 2 bsl 20),
    [To ! Large || To <- [Dead, {free(nobody), Node}]],
    puppet:settled(Node),
    Pid = puppet:new(Node),
    Mine = spawn(fun() -> ok end),
    [puppet:ask(Pid, {send, To, hello}) || To <- [Mine, {free(nobody), node()}, make_ref()]],
    puppet:settled(Node),
    ?nothing().

ours(Node) ->
    Name = free('ours αβγ'),
    register(Name, self()),
    Pid = puppet:new(Node),
    ok = puppet:ask(Pid, {send, {Name, node()}, {hello, 1}}),
    ?get({hello, 1}).
