%% Messages: all of them, in order, whole.
-module(order_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {ten_thousand_in_order, fun in_order/1},
        {ten_thousand_of_ours_in_order, fun in_order_ours/1},
        {one_of_64_mib_among_ten_thousand, fun big/1},
        {one_of_64_mib_of_ours_among_ten_thousand, fun big_ours/1},
        {many_senders_of_all_sizes, fun senders/1},
        {many_senders_of_ours_of_all_sizes, fun senders_ours/1},
        {small_ones_pass_large_ones_of_others, fun pass/1},
        {by_pid_by_name_and_by_alias_is_one_order, fun ways/1},
        {by_pid_by_name_and_by_alias_of_ours_is_one_order, fun ways_ours/1},
        {three_thousand_atoms, fun atoms/1},
        {the_atoms_go_through_the_cache, fun cache/1},
        {a_sender_is_killed_in_the_middle, fun killed/1},
        {a_frozen_subject_gets_it_all, fun frozen/1},
        {a_frozen_peer_holds_up_nobody_else, fun frozen_peer/1},
        {sizes_around_every_boundary, fun sizes/1}
    ].

in_order(Node) ->
    Pid = puppet:new(Node),
    Asked = puppet:begin_(Pid, {stream, self(), Pid, 1, 10000, 10}),
    ?order(numbered(1, 10000, 10), of_one(Pid, check:arrivals(10000))),
    ok = puppet:answer(Asked),
    ?nothing().

%% What `stream` sends.
numbered(First, Last, Bytes) -> [{N, <<N:32, 0:(Bytes * 8)>>} || N <- lists:seq(First, Last)].

of_one(Pid, Arrived) -> [{N, Binary} || {From, N, Binary} <- Arrived, From =:= Pid].

in_order_ours(Node) ->
    Pid = puppet:new(Node),
    Sum = stream(Pid, self(), 10000, 10),
    ?is({10000, Sum, true}, puppet:ask(Pid, {tally, 10000, 20000})).

%% Sends 1 to Count, gives the checksum of what was sent.
stream(To, Tag, Count, Bytes) ->
    lists:foldl(fun(N, Sum) ->
        Binary = <<N:32, 0:(Bytes * 8)>>,
        To ! {Tag, N, Binary},
        erlang:adler32(Sum, Binary)
    end, 1, lists:seq(1, Count)).

-define(BIG, (64 bsl 20)).

%% It has its place among the messages of its sender, and no other.
big(Node) ->
    [Pid, Other] = puppet:several(Node, 2),
    First = puppet:begin_(Pid, {bulk, self(), Pid, 10000, 5000, ?BIG}),
    Second = puppet:begin_(Other, {stream, self(), Other, 1, 1000, 10}),
    Arrived = check:arrivals(11001),
    Sent = numbered(1, 5000, 0) ++ [{big, pattern()}] ++ numbered(5001, 10000, 0),
    ?order(Sent, of_one(Pid, Arrived)),
    ?order(numbered(1, 1000, 10), of_one(Other, Arrived)),
    [ok = puppet:answer(Asked) || Asked <- [First, Second]],
    ?nothing().

pattern() -> binary:copy(<<"0123456789abcdef">>, ?BIG div 16).

%% The large one is number 5001 of its sender; the subject says whether each sender's numbers count up.
big_ours(Node) ->
    Pid = puppet:new(Node),
    Pattern = pattern(),
    Me = self(),
    {Other, Monitor} = spawn_monitor(fun() -> exit({sum, stream(Pid, other, 1000, 0)}) end),
    [Pid ! {Me, N, case N of 5001 -> Pattern; _ -> <<N:32>> end} || N <- lists:seq(1, 10001)],
    ?get({'DOWN', Monitor, _, Other, _}),
    ?like({11001, _, true}, puppet:ask(Pid, {tally, 11001, 60000}, 80000)),
    Pid ! {Me, 10002, Pattern},
    ?is({1, erlang:adler32(Pattern), true}, puppet:ask(Pid, {tally, 1, 60000}, 80000)).

mixed() -> [0, 100, 5000, 70000, 300000].

senders(Node) ->
    Pids = puppet:several(Node, 50),
    Asked = [puppet:begin_(Pid, {all, [{stream, self(), Pid, 20 * I + 1, 20 * I + 20, Bytes}
                || {I, Bytes} <- lists:zip([0, 1, 2], rotated(At))]})
             || {At, Pid} <- lists:enumerate(Pids)],
    ?is(maps:from_keys(Pids, 60), gather(3000, #{})),
    [[ok, ok, ok] = puppet:answer(One, 60000) || One <- Asked],
    ?nothing().

%% Three of the sizes, others for each.
rotated(At) ->
    {Front, Back} = lists:split(At rem 5, mixed()),
    lists:sublist(Back ++ Front, 3).

%% The last number of each sender, each of which counts up from 1.
gather(0, Last) -> Last;
gather(Left, Last) ->
    {From, N, Binary} = ?get({Pid, Number, Bytes} when is_pid(Pid), {Pid, Number, Bytes}),
    <<N:32, _/binary>> = Binary,
    ?is(N, maps:get(From, Last, 0) + 1),
    gather(Left - 1, Last#{From => N}).

senders_ours(Node) ->
    Pid = puppet:new(Node),
    [spawn(fun() ->
        [Pid ! {self(), N, <<N:32, 0:(Size * 8)>>}
         || {I, Size} <- lists:zip([0, 1, 2], rotated(At)), N <- lists:seq(20 * I + 1, 20 * I + 20)]
     end) || At <- lists:seq(1, 50)],
    ?like({3000, _, true}, puppet:ask(Pid, {tally, 3000, 60000}, 80000)).

%% A peer that does not read: a large message is under way and stays there until messages of twenty other processes are behind it.
%% They reach the peer before its last piece.
pass(Node) ->
    Me = launcher:name(raw),
    Mine = wire:pid(Me),
    Socket = wire:dial(Node, Me, wire:with_header()),
    [Large | Small] = puppet:several(Node, 21),
    Asked = puppet:begin_(Large, {bulk, Mine, large, 1, 1, ?BIG}),
    ok = until_piece(Socket),
    Sends = [puppet:begin_(Pid, {send, Mine, marker()}) || Pid <- Small],
    %% Those who may go on although the connection is full have done so; the others wait in the middle of it.
    _ = check:within(300, fun() -> length(element(2, process_info(self(), messages))) =:= 20 end),
    Passed = until_last_piece(Socket, 0),
    ?is(true, Passed > 0),
    All = Passed + markers(Socket, 20 - Passed),
    ?is(20, All),
    [ok = puppet:answer(One) || One <- [Asked | Sends]],
    wire:close(Socket).

marker() -> <<"a small message of another process">>.

until_piece(Socket) ->
    case wire:body(Socket) of
        <<131, 69, _:64, Left:64, _/binary>> when Left > 1 -> ok;
        _ -> until_piece(Socket)
    end.

%% How many of the small ones come before the large one is whole.
until_last_piece(Socket, Passed) ->
    case wire:body(Socket) of
        <<131, 70, _:64, 1:64, _/binary>> -> Passed;
        <<131, 70, _/binary>> -> until_last_piece(Socket, Passed);
        Other -> until_last_piece(Socket, Passed + marked(Other))
    end.

markers(_, Left) when Left =< 0 -> 0;
markers(Socket, Left) ->
    Marked = marked(wire:body(Socket)),
    Marked + markers(Socket, Left - Marked).

marked(Body) ->
    case binary:match(Body, marker()) of
        nomatch -> 0;
        _ -> 1
    end.

ways(Node) ->
    Pid = puppet:new(Node),
    Name = list_to_atom("ways" ++ integer_to_list(erlang:unique_integer([positive]))),
    register(Name, self()),
    To = [self(), {Name, node()}, alias()],
    puppet:ask(Pid, {all, [{stream, lists:nth(N rem 3 + 1, To), Pid, N, N, N rem 7 * 20000} || N <- lists:seq(1, 300)]}),
    ?order(lists:seq(1, 300), [N || {P, N, _} <- check:flush(), P =:= Pid]).

ways_ours(Node) ->
    Pid = puppet:new(Node),
    Name = list_to_atom("ways" ++ integer_to_list(erlang:unique_integer([positive]))),
    [true, Alias] = puppet:ask(Pid, {all, [{register, Name}, alias]}),
    To = [Pid, {Name, Node}, Alias],
    [lists:nth(N rem 3 + 1, To) ! {ways, N, <<N:32, 0:(N rem 7 * 160000)>>} || N <- lists:seq(1, 300)],
    ?like({300, _, true}, puppet:ask(Pid, {tally, 300, 20000})).

%% More atoms than the cache has slots, in messages that name few and many of them, whole and in fragments.
atoms(_) ->
    {Node, _} = launcher:start(atoms, [{atoms, cached}]),
    Pid = puppet:new(Node),
    Atoms = [list_to_atom(lists:flatten(["cached_", integer_to_list(N), long(N)])) || N <- lists:seq(1, 3000)],
    [begin
        [?is(Some, puppet:ask(Pid, {echo, Some})) || Some <- chunks(Size, Atoms)],
        ?is(Atoms, puppet:ask(Pid, {echo, Atoms}))
    end || Size <- [1, 10, 255, 256, 1000]],
    %% The same slots while large messages of others are under way.
    Large = puppet:new(Node),
    Asked = puppet:begin_(Large, {stream, self(), large, 1, 10, 1000000}),
    [?is(Some, puppet:ask(Pid, {echo, Some})) || Some <- chunks(50, lists:reverse(Atoms))],
    ok = puppet:answer(Asked),
    true = erlang:disconnect_node(Node).

%% What the subject puts into the headers: more than the cache has slots, and again what the peer knows from before.
cache(_) ->
    {Node, _} = launcher:start(atoms, [{atoms, cached}]),
    true = net_kernel:connect_node(Node),
    Me = launcher:name(raw),
    Socket = wire:dial(Node, Me, wire:with_header()),
    Pid = puppet:new(Node),
    Atoms = [list_to_atom("slot_" ++ integer_to_list(N)) || N <- lists:seq(1, 3000)],
    {_, New, Known} = lists:foldl(fun(Some, Counts) ->
        ok = puppet:ask(Pid, {send, wire:pid(Me), {marker(), Some}}),
        atoms_of(Socket, Some, Counts)
    end, {#{}, 0, 0}, lists:append([[Some, Some] || Some <- chunks(50, Atoms ++ Atoms)])),
    ?is({true, New}, {New > 2048, New}),
    ?is({true, Known}, {Known > 1000, Known}),
    wire:close(Socket),
    true = erlang:disconnect_node(Node).

%% The message with these atoms, and how many entries of the header were new or known.
atoms_of(Socket, Some, {Cache, New, Known}) ->
    Body = wire:body(Socket),
    {Entries, Terms, Next} = wire:header(Body, Cache),
    Counts = {Next, New + count(new, Entries), Known + count(known, Entries)},
    case binary:split(Terms, marker()) of
        [_, <<108, _:32, List/binary>>] ->
            ?order(Some, listed(List, [Atom || {_, Atom} <- Entries])),
            Counts;
        [_] ->
            atoms_of(Socket, Some, Counts)
    end.

count(Kind, Entries) -> length([Atom || {Found, Atom} <- Entries, Found =:= Kind]).

listed(<<106>>, _) -> [];
listed(<<82, At, Rest/binary>>, Entries) -> [lists:nth(At + 1, Entries) | listed(Rest, Entries)];
listed(<<119, Size, Text:Size/binary, Rest/binary>>, Entries) -> [binary_to_atom(Text) | listed(Rest, Entries)].

%% A message is whole or not there at all.
killed(Node) ->
    check:each(10, fun(Round) ->
        Pid = puppet:new(Node),
        Monitor = monitor(process, Pid),
        Pid ! {ask, self(), none, {bulk, self(), Pid, 20, 3, 8 bsl 20}},
        timer:sleep(Round),
        exit(Pid, kill),
        ?is(killed, ?get({'DOWN', Monitor, _, _, Why}, Why)),
        puppet:settled(Node),
        Got = [{N, byte_size(Binary)} || {P, N, Binary} <- check:flush(), P =:= Pid],
        Sent = [{1, 4}, {2, 4}, {3, 4}, {big, 8 bsl 20} | [{N, 4} || N <- lists:seq(4, 20)]],
        ?is(true, lists:prefix(Got, Sent))
    end).

frozen(_) ->
    {Node, Id} = launcher:start(frozen),
    Pid = puppet:new(Node),
    Me = self(),
    {Sender, Monitor} = spawn_monitor(fun() ->
        [begin
            [Me ! started || N =:= 5],
            Pid ! {self(), N, <<N:32, 0:(8 bsl 20)>>}
        end || N <- lists:seq(1, 40)]
    end),
    ?get(started),
    launcher:signal(Id, 'STOP'),
    timer:sleep(300),
    launcher:signal(Id, 'CONT'),
    ?get({'DOWN', Monitor, _, Sender, normal}),
    ?like({40, _, true}, puppet:ask(Pid, {tally, 40, 20000})),
    true = erlang:disconnect_node(Node).

%% It takes nothing; who sends to it waits, and everybody else goes on.
frozen_peer(_) ->
    {Node, _} = launcher:start(frozen),
    Peer = peers:start(launcher:name(frozen)),
    Theirs = peers:call(Peer, erlang, spawn, [puppet, sink, []]),
    [Stuck, Other] = puppet:several(Node, 2),
    ?is(ok, puppet:ask(Stuck, {send, Theirs, {first, 0, <<>>}})),
    OsPid = peers:signal(Peer, "STOP"),
    Asked = puppet:begin_(Stuck, {stream, Theirs, stuck, 1, 100, 1 bsl 20}),
    [begin
        ?is(N, puppet:ask(Other, {echo, N})),
        timer:sleep(2)
    end || N <- lists:seq(1, 100)],
    os:cmd("kill -CONT " ++ OsPid),
    ok = puppet:answer(Asked, 60000),
    check:until(all_there, fun() -> peers:call(Peer, puppet, sunk, [Theirs]) =:= [0 | lists:seq(1, 100)] end),
    peer:stop(Peer),
    true = erlang:disconnect_node(Node).

long(N) when N rem 100 =:= 0 -> lists:duplicate(200, $é);
long(N) when N rem 7 =:= 0 -> "αβγ";
long(_) -> "".

chunks(_, []) -> [];
chunks(Size, List) when length(List) =< Size -> [List];
chunks(Size, List) ->
    {Some, Rest} = lists:split(Size, List),
    [Some | chunks(Size, Rest)].

sizes(Node) ->
    Pid = puppet:new(Node),
    Edges = [1 bsl 8, 4096, 16384, 1 bsl 16, 1 bsl 18, 1 bsl 20],
    [begin
        Binary = rand:bytes(Size),
        ?is(Binary, puppet:ask(Pid, {echo, Binary}))
    end || Edge <- Edges, Size <- lists:seq(Edge - 2, Edge + 2) ++ [Edge - 60, Edge - 100]].
