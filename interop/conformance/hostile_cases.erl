%% A connected peer that breaks the protocol loses its connection, and nothing else happens.
-module(hostile_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {what_is_no_signal, fun no_signal/1},
        {lengths_that_are_never_filled, fun lengths/1},
        {atoms_through_the_cache, fun cached/1},
        {fragments_of_every_size_interleaved, fun fragments/1},
        {fragments_that_do_not_fit, fun bad_fragments/1},
        {fragments_that_never_end, fun unfinished/1},
        {terms_that_cannot_be_read, fun unreadable/1}
    ].

no_signal(Node) ->
    Me = launcher:name(raw),
    [begin
        Socket = wire:dial(Node, Me),
        wire:send(Socket, wire:frame(32, Body)),
        wire:closed(Socket),
        wire:whole(Node, Me)
    end || Body <- [
        <<0>>, <<113, 131, 104, 0>>, <<131>>, <<112, 131, 255>>,
        <<112, (term_to_binary({99, wire:pid(Me)}))/binary>>,
        <<112, (term_to_binary({}))/binary>>,
        <<112, (term_to_binary(hello))/binary>>,
        <<112, (term_to_binary({2, '', nobody}))/binary, (term_to_binary(x))/binary>>,
        <<112, (term_to_binary({1, wire:pid(Me)}))/binary>>
    ]].

lengths(Node) ->
    Me = launcher:name(raw),
    [begin
        Socket = wire:dial(Node, Me),
        wire:send(Socket, <<Length:32, 112, 131, 104>>),
        timer:sleep(20),
        wire:reset(Socket),
        wire:whole(Node, Me)
    end || Length <- [4, 1000, 16#7fffffff, 16#ffffffff]].

%% -- the header: `131 68 count flags refs`, here of one atom; `82 0` in a term is that atom --

new(Index, Segment, Text) when byte_size(Text) < 256 -> <<1, (8 bor Segment), Index, (byte_size(Text)), Text/binary>>;
new(Index, Segment, Text) -> <<1, ((8 bor Segment) bor 16#10), Index, (byte_size(Text)):16, Text/binary>>.

known(Index, Segment) -> <<1, Segment, Index>>.

%% Asks the subject to tell the driver what the atom is.
asks(Me, Header, Seq) ->
    Control = bare({6, wire:pid(Me), '', subject}),
    Message = <<104, 4, (bare(ask))/binary, (bare(self()))/binary, (bare(Seq))/binary, 104, 2, (bare(echo))/binary, 82, 0>>,
    wire:frame(32, <<131, 68, Header/binary, Control/binary, Message/binary>>).

cached(Node) ->
    Me = launcher:name(raw),
    Socket = wire:dial(Node, Me, wire:with_header()),
    Long = binary:copy(<<"é"/utf8>>, 200),
    Steps = [
        {new(0, 0, <<"first">>), first}, {known(0, 0), first}, {new(255, 7, <<"last">>), last}, {known(255, 7), last},
        {known(0, 0), first}, {new(0, 0, <<"second">>), second}, {known(0, 0), second}, {new(9, 3, Long), binary_to_atom(Long)},
        {known(9, 3), binary_to_atom(Long)}, {new(1, 0, <<>>), ''}, {known(1, 0), ''}
    ],
    wire:send(Socket, [asks(Me, Header, Seq) || {Seq, {Header, _}} <- lists:enumerate(Steps)]),
    [?get({answer, Seq, Atom}) || {Seq, {_, Atom}} <- lists:enumerate(Steps)],
    wire:close(Socket).

%% -- fragments, with an empty header: `131 69 seq frag 0` and `131 70 seq frag` --

first(Seq, Left, Control, Part) ->
    <<131, Bare/binary>> = term_to_binary(Control),
    wire:frame(32, <<131, 69, Seq:64, Left:64, 0, Bare/binary, Part/binary>>).

next(Seq, Left, Part) -> wire:frame(32, <<131, 70, Seq:64, Left:64, Part/binary>>).

bare(Term) ->
    <<131, Bare/binary>> = term_to_binary(Term),
    Bare.

%% All fragments of a message to the subject.
message(Me, Seq, Size, Term) ->
    [Part | Parts] = pieces(Size, bare(Term)),
    Count = length(Parts) + 1,
    [first(Seq, Count, {6, wire:pid(Me, Seq), '', subject}, Part)
     | [next(Seq, Count - N, More) || {N, More} <- lists:enumerate(Parts)]].

pieces(Size, Bytes) when byte_size(Bytes) =< Size -> [Bytes];
pieces(Size, Bytes) ->
    <<Piece:Size/binary, Rest/binary>> = Bytes,
    [Piece | pieces(Size, Rest)].

fragments(Node) ->
    Me = launcher:name(raw),
    Socket = wire:dial(Node, Me, wire:with_header()),
    Ask = fun(Seq, Term) -> {ask, self(), Seq, {echo, Term}} end,
    Terms = [{Seq, {Seq, lists:seq(1, 50 * Seq), <<Seq:800>>}} || Seq <- lists:seq(1, 6)],
    Messages = [message(Me, Seq, lists:nth(Seq, [1, 2, 7, 64, 1000, 100000]), Ask(Seq, Term)) || {Seq, Term} <- Terms],
    wire:send(Socket, interleaved(Messages)),
    %% The answers go to the driver: through its own connection.
    ?is(Terms, lists:sort([?get({answer, Seq, Term}, {Seq, Term}) || _ <- Terms])),
    wire:close(Socket).

%% One of each in turn, a tick now and then.
interleaved([]) -> [];
interleaved(Messages) ->
    [[[First, [<<0:32>> || rand:uniform(20) =:= 1]] || [First | _] <- Messages]
     | interleaved([Rest || [_ | [_ | _] = Rest] <- Messages])].

bad_fragments(Node) ->
    Me = launcher:name(raw),
    Control = {6, wire:pid(Me), '', subject},
    [begin
        Socket = wire:dial(Node, Me, wire:with_header()),
        wire:send(Socket, Frames),
        wire:closed(Socket),
        wire:whole(Node, Me)
    end || Frames <- [
        [first(1, 3, Control, <<97>>), next(1, 1, <<>>)],
        [next(1, 1, <<97, 1>>)],
        [wire:frame(32, <<131, 69, 1:64, 2:64, 0, 104, 4>>), next(1, 1, <<97, 6>>)],
        [wire:frame(32, <<131, 69, 1:64>>)],
        [wire:frame(32, <<131, 68, 200>>)]
    ]].

unfinished(Node) ->
    Me = launcher:name(raw),
    Socket = wire:dial(Node, Me, wire:with_header()),
    [wire:send(Socket, first(Seq, 1000, {6, wire:pid(Me, Seq), '', subject}, <<109, 16#ffffffff:32, 0:80000>>))
     || Seq <- lists:seq(1, 100)],
    wire:reset(Socket),
    wire:whole(Node, Me).

%% Whether the message alone is lost or the connection with it is the subject's choice.
unreadable(Node) ->
    Me = launcher:name(raw),
    Control = term_to_binary({6, wire:pid(Me), '', subject}),
    [begin
        Socket = wire:dial(Node, Me),
        wire:send(Socket, wire:frame(32, <<112, Control/binary, 131, Bytes/binary>>)),
        timer:sleep(10),
        wire:close(Socket),
        wire:whole(Node, Me)
    end || Bytes <- [
        <<>>, <<255>>, <<109, 16#ffffffff:32, 1>>, <<108, 16#7fffffff:32>>, <<116, 16#7fffffff:32>>,
        <<105, 16#ffffffff:32, 106>>, <<119, 3, "ab">>, <<70, 16#7ff0000000000000:64>>,
        << <<108, 1:32>> || <<_>> <= <<0:80000>> >>
    ]].
