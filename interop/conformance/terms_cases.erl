%% Every kind of term goes there and comes back the same.
-module(terms_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {every_kind_of_term, fun kinds/1},
        {every_recorded_term, fun recorded/1},
        {what_other_nodes_made, fun foreign/1},
        {deep_and_wide, fun deep/1},
        {random_terms, fun random/1}
    ].

same(Pid, Term) ->
    Back = puppet:ask(Pid, {echo, Term}),
    Back =:= Term orelse error({changed, Term, Back}).

kinds(Node) ->
    Pid = puppet:new(Node),
    [same(Pid, Term) || Term <- [
        0, -1, 255, 256, -(1 bsl 31), 1 bsl 31, 1 bsl 62, -(1 bsl 63), 1 bsl 64, -(1 bsl 2100), 1 bsl 20000,
        0.0, -0.0, 1.5, 1.0e308, -4.9e-324, [], {}, "", "text", [0, 255, 256], lists:seq(1, 70000),
        <<>>, <<1:1>>, <<0:7, 1:2>>, binary:copy(<<7>>, 1000), [a | b], [[] | c], {1, {2, {3}}},
        #{}, #{a => 1, 1 => a, 1.0 => b, [] => #{}}, maps:from_list([{N, -N} || N <- lists:seq(1, 1000)]),
        '', 'with space', 'αβγ😀', list_to_atom(lists:duplicate(255, $é)), true, undefined,
        self(), Pid, make_ref(), alias(), hd(erlang:ports()), fun lists:map/2, fun erlang:self/0,
        list_to_tuple(lists:seq(1, 300)), [self() | make_ref()], {Pid, [Pid, #{Pid => Node}]}
    ]],
    Local = fun(X) -> {X, Pid, Node} end,
    same(Pid, Local),
    Back = puppet:ask(Pid, {echo, Local}),
    ?is({1, Pid, Node}, Back(1)).

%% All that releases of OTP were seen to encode and this one can read.
recorded(Node) ->
    Pid = puppet:new(Node),
    {ok, [[Folder]]} = init:get_argument(vectors),
    Terms = lists:usort([Term || Release <- ["25", "27", "29"], Term <- terms(Folder ++ "/otp" ++ Release ++ ".jsonl")]),
    true = length(Terms) > 250,
    [same(Pid, Term) || Term <- Terms].

terms(File) ->
    {ok, Text} = file:read_file(File),
    case re:run(Text, "\"hex\":\"([0-9a-f]+)\"", [global, {capture, all_but_first, binary}]) of
        {match, Found} -> lists:flatmap(fun([Hex]) -> readable(binary:decode_hex(Hex)) end, Found)
    end.

readable(Bytes) ->
    try [binary_to_term(Bytes)] catch error:badarg -> [] end.

%% Pids, references and ports of nodes that nobody here knows; also of earlier incarnations of this one.
foreign(Node) ->
    Pid = puppet:new(Node),
    [same(Pid, binary_to_term(<<131, 88, (atom(Name))/binary, Id:32, Serial:32, Creation:32>>))
     || Name <- [node(), Node, 'some@where'], {Id, Serial} <- [{1, 0}, {16#7fff, 16#1fff}], Creation <- [1, 77, 16#ffffffff]],
    [same(Pid, binary_to_term(<<131, 90, Words:16, (atom(Name))/binary, 9:32, 1:32, (binary:copy(<<5:32>>, Words - 1))/binary>>))
     || Name <- [node(), Node, 'some@where'], Words <- [1, 2, 3]],
    [same(Pid, binary_to_term(<<131, 120, (atom('some@where'))/binary, Id:64, 9:32>>)) || Id <- [1, 1 bsl 27, 1 bsl 40]].

atom(Name) ->
    Text = atom_to_binary(Name),
    <<119, (byte_size(Text)), Text/binary>>.

deep(Node) ->
    Pid = puppet:new(Node),
    same(Pid, lists:foldl(fun(N, Term) -> {N, Term} end, [], lists:seq(1, 200))),
    same(Pid, lists:foldl(fun(N, Term) -> [Term | N] end, [], lists:seq(1, 200))),
    same(Pid, lists:foldl(fun(N, Term) -> #{N => Term} end, [], lists:seq(1, 200))),
    same(Pid, [{N, integer_to_binary(N), [N]} || N <- lists:seq(1, 100000)]).

random(Node) ->
    Pid = puppet:new(Node),
    Seed = erlang:system_time() band 16#ffffff,
    rand:seed(exsss, Seed),
    [begin
        Term = term(5),
        Term =:= puppet:ask(Pid, {echo, Term}) orelse error({changed, {seed, Seed}, Term})
    end || _ <- lists:seq(1, 300)].

term(0) -> leaf();
term(Depth) ->
    case rand:uniform(7) of
        1 -> list_to_tuple(several(Depth));
        2 -> several(Depth);
        3 -> several(Depth) ++ term(Depth - 1);
        4 -> maps:from_list([{leaf(), term(Depth - 1)} || _ <- lists:seq(1, rand:uniform(40))]);
        5 -> {several(Depth), term(Depth - 1)};
        _ -> leaf()
    end.

several(Depth) -> [term(Depth - 1) || _ <- lists:seq(1, rand:uniform(5) - 1)].

leaf() ->
    case rand:uniform(10) of
        1 -> rand:uniform(1 bsl 70) - (1 bsl 69);
        2 -> rand:uniform(600) - 300;
        3 -> rand:normal();
        4 -> rand:bytes(rand:uniform(300) - 1);
        5 -> Bits = rand:uniform(100), <<(rand:uniform(1 bsl Bits) - 1):Bits>>;
        6 -> list_to_atom([$a + rand:uniform(20), 16#3b0 + rand:uniform(10)]);
        7 -> make_ref();
        8 -> self();
        9 -> [rand:uniform(256) - 1 || _ <- lists:seq(1, rand:uniform(30))];
        10 -> []
    end.
