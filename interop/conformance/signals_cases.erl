%% Signals as they are on the wire, with a peer that is played by hand: what two OTP nodes never show.
-module(signals_cases).
-export([cases/0]).
-include("check.hrl").

cases() ->
    [
        {an_unlink_is_acknowledged_whatever_it_is_of, fun unlink_acks/1},
        {an_exit_before_the_acknowledgement_is_ignored, fun exit_before_ack/1},
        {an_acknowledgement_leaves_a_new_link_alone, fun ack_of_the_old/1},
        {after_an_unlink_by_either_side_no_exit_is_sent, fun unlinked/1},
        {exits_of_no_link_are_ignored, fun no_link/1},
        {dead_and_former_processes, fun dead/1},
        {every_form_of_a_message, fun messages/1},
        {every_form_of_an_exit, fun exits/1},
        {every_form_of_a_down, fun downs/1},
        {answers_to_nothing_are_ignored, fun nothing/1},
        {spawn_requests_have_one_answer, fun spawn/1},
        {a_down_after_its_demonitor_is_ignored, fun late_down/1},
        {a_call_that_was_given_up_is_answered_late, fun late_answer/1},
        {links_end_with_the_connection, fun lost/1}
    ].

peer(Node) ->
    Me = launcher:name(raw),
    {wire:dial(Node, Me), Me}.

%% A process of the subject that traps exits, made through the connection.
puppet(Socket, Me) -> wire:ask(Socket, Me, subject, {puppet, [trap]}).

%% One that is dead.
dead_puppet(Socket, Me) ->
    Pid = puppet(Socket, Me),
    wire:control(Socket, {19, wire:pid(Me), Pid, wire:ref(Me, 1)}),
    wire:control(Socket, {22, wire:pid(Me), Pid}, {ask, wire:pid(Me), none, {exit, over}}),
    {{28, Pid, _, _}, over} = wire:signal(Socket),
    Pid.

%% A pid of the subject as it was in another incarnation.
former(Pid) ->
    Bytes = term_to_binary(Pid),
    Size = byte_size(Bytes) - 4,
    <<Front:Size/binary, Creation:32>> = Bytes,
    binary_to_term(<<Front/binary, (Creation - 1):32>>).

unlink_acks(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    Dead = dead_puppet(Socket, Me),
    wire:control(Socket, {1, Mine, Pid}),
    [begin
        wire:control(Socket, {35, Id, Mine, To}),
        ?is({{36, Id, To, Mine}}, wire:signal(Socket))
    end || {Id, To} <- [{1, Pid}, {2, Pid}, {16#ffffffffffffffff, Dead}]],
    ?is(alive, wire:ask(Socket, Me, Pid, {echo, alive})),
    wire:close(Socket).

exit_before_ack(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {all, [{link, Mine}, {unlink, Mine}]}}),
    ?is({{1, Pid, Mine}}, wire:signal(Socket)),
    {{35, Id, Pid, Mine}} = ?like({{35, _, _, _}}, wire:signal(Socket)),
    ?like({_, {answer, none, [ok, ok]}}, wire:signal(Socket)),
    wire:control(Socket, {24, Mine, Pid}, late),
    wire:control(Socket, {36, Id, Mine, Pid}),
    ?is([], wire:ask(Socket, Me, Pid, {take, 1, 20})),
    %% It can be linked again, and that one counts.
    wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {link, Mine}}),
    ?is({{1, Pid, Mine}}, wire:signal(Socket)),
    ?like({_, {answer, none, ok}}, wire:signal(Socket)),
    wire:control(Socket, {24, Mine, Pid}, counts),
    ?is([{'EXIT', Mine, counts}], wire:ask(Socket, Me, Pid, {take, 1, 10000})),
    wire:close(Socket).

ack_of_the_old(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    Commands = {all, [{link, Mine}, {unlink, Mine}, {link, Mine}]},
    wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, Commands}),
    ?is({{1, Pid, Mine}}, wire:signal(Socket)),
    {{35, Id, Pid, Mine}} = ?like({{35, _, _, _}}, wire:signal(Socket)),
    ?is({{1, Pid, Mine}}, wire:signal(Socket)),
    ?like({_, {answer, none, [ok, ok, ok]}}, wire:signal(Socket)),
    wire:control(Socket, {36, Id, Mine, Pid}),
    wire:control(Socket, {24, Mine, Pid}, heard),
    ?is([{'EXIT', Mine, heard}], wire:ask(Socket, Me, Pid, {take, 1, 10000})),
    wire:close(Socket).

%% With OTP at both ends the one that has unlinked would hide it: here all that is sent is seen.
unlinked(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Theirs = puppet(Socket, Me),
    wire:control(Socket, {1, Mine, Theirs}),
    wire:control(Socket, {35, 5, Mine, Theirs}),
    ?is({{36, 5, Theirs, Mine}}, wire:signal(Socket)),
    ends_with_a_down_alone(Socket, Me, Theirs),
    Ours = puppet(Socket, Me),
    wire:control(Socket, {22, Mine, Ours}, {ask, Mine, none, {all, [{link, Mine}, {unlink, Mine}]}}),
    ?is({{1, Ours, Mine}}, wire:signal(Socket)),
    {{35, Id, Ours, Mine}} = ?like({{35, _, _, _}}, wire:signal(Socket)),
    ?like({_, {answer, none, [ok, ok]}}, wire:signal(Socket)),
    wire:control(Socket, {36, Id, Mine, Ours}),
    ends_with_a_down_alone(Socket, Me, Ours),
    wire:close(Socket).

ends_with_a_down_alone(Socket, Me, Pid) ->
    Mine = wire:pid(Me),
    Ref = wire:ref(Me, 3),
    wire:control(Socket, {19, Mine, Pid, Ref}),
    wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {exit, unheard}}),
    ?is({{28, Pid, Mine, Ref}, unheard}, wire:signal(Socket)),
    %% The next that comes is what is asked for now.
    wire:control(Socket, {6, Mine, '', subject}, {ask, Mine, next, {echo, next}}),
    ?like({_, {answer, next, next}}, wire:signal(Socket)).

no_link(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    wire:control(Socket, {3, Mine, Pid, boom}),
    wire:control(Socket, {24, Mine, Pid}, boom),
    wire:control(Socket, {36, 17, Mine, Pid}),
    ?is([], wire:ask(Socket, Me, Pid, {take, 1, 20})),
    wire:close(Socket).

dead(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Dead = dead_puppet(Socket, Me),
    Alive = puppet(Socket, Me),
    [begin
        Ref = wire:ref(Me, 5),
        wire:control(Socket, {1, Mine, To}),
        ?is({{24, To, Mine}, noproc}, wire:signal(Socket)),
        wire:control(Socket, {19, Mine, To, Ref}),
        ?is({{28, To, Mine, Ref}, noproc}, wire:signal(Socket)),
        wire:control(Socket, {22, Mine, To}, lost),
        wire:control(Socket, {26, Mine, To}, kill),
        wire:control(Socket, {8, Mine, To, kill}),
        wire:control(Socket, {20, Mine, To, Ref})
    end || To <- [Dead, former(Alive)]],
    Name = wire:ref(Me, 6),
    wire:control(Socket, {19, Mine, nobody_has_it, Name}),
    ?is({{28, nobody_has_it, Mine, Name}, noproc}, wire:signal(Socket)),
    wire:control(Socket, {6, Mine, '', nobody_has_it}, lost),
    ?is([], wire:ask(Socket, Me, Alive, {take, 1, 20})),
    wire:close(Socket).

token(Me) -> {1, 7, 1, wire:pid(Me), 0}.

messages(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    Name = list_to_atom("named" ++ integer_to_list(erlang:unique_integer([positive]))),
    true = wire:ask(Socket, Me, Pid, {register, Name}),
    Alias = wire:ask(Socket, Me, Pid, alias),
    Forms = [
        {2, '', Pid}, {6, Mine, '', Name}, {22, Mine, Pid}, {33, Mine, Alias},
        {12, '', Pid, token(Me)}, {16, Mine, '', Name, token(Me)}, {23, Mine, Pid, token(Me)}, {34, Mine, Alias, token(Me)}
    ],
    [wire:control(Socket, Form, {form, N}) || {N, Form} <- lists:enumerate(Forms)],
    ?is([{form, N} || N <- lists:seq(1, length(Forms))], wire:ask(Socket, Me, Pid, {take, length(Forms), 10000})),
    wire:close(Socket).

exits(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    %% Of a link; each ends it.
    [begin
        wire:control(Socket, {1, Mine, Pid}),
        Exit(),
        ?is([{'EXIT', Mine, {why, N}}], wire:ask(Socket, Me, Pid, {take, 1, 10000}))
    end || {N, Exit} <- [
        {1, fun() -> wire:control(Socket, {3, Mine, Pid, {why, 1}}) end},
        {2, fun() -> wire:control(Socket, {24, Mine, Pid}, {why, 2}) end},
        {3, fun() -> wire:control(Socket, {13, Mine, Pid, token(Me), {why, 3}}) end},
        {4, fun() -> wire:control(Socket, {25, Mine, Pid, token(Me)}, {why, 4}) end}
    ]],
    %% Of exit/2.
    wire:control(Socket, {8, Mine, Pid, {why, 5}}),
    wire:control(Socket, {26, Mine, Pid}, {why, 6}),
    wire:control(Socket, {18, Mine, Pid, token(Me), {why, 7}}),
    wire:control(Socket, {27, Mine, Pid, token(Me)}, {why, 8}),
    ?is([{'EXIT', Mine, {why, N}} || N <- [5, 6, 7, 8]], wire:ask(Socket, Me, Pid, {take, 4, 10000})),
    wire:close(Socket).

downs(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    [begin
        wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {monitor, Whom}}),
        {{19, Pid, Named, Ref}} = ?like({{19, _, _, _}}, wire:signal(Socket)),
        {_, {answer, none, Ref}} = wire:signal(Socket),
        Down(Named, Ref),
        ?is([{'DOWN', Ref, process, Whom, {why, N}}], wire:ask(Socket, Me, Pid, {take, 1, 10000}))
    end || Whom <- [Mine, {a_name, Me}], {N, Down} <- [
        {1, fun(Named, Ref) -> wire:control(Socket, {21, Named, Pid, Ref, {why, 1}}) end},
        {2, fun(Named, Ref) -> wire:control(Socket, {28, Named, Pid, Ref}, {why, 2}) end}
    ]],
    %% A demonitor names what the monitor named.
    wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {monitor, {a_name, Me}}}),
    {{19, Pid, a_name, Ref}} = wire:signal(Socket),
    {_, {answer, none, Ref}} = wire:signal(Socket),
    wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {demonitor, Ref}}),
    ?is({{20, Pid, a_name, Ref}}, wire:signal(Socket)),
    wire:close(Socket).

late_down(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    [begin
        wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {monitor, Mine}}),
        {{19, Pid, Mine, Ref}} = ?like({{19, _, _, _}}, wire:signal(Socket)),
        {_, {answer, none, Ref}} = wire:signal(Socket),
        wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {Command, Ref}}),
        ?is({{20, Pid, Mine, Ref}}, wire:signal(Socket)),
        {_, {answer, none, ok}} = wire:signal(Socket),
        %% It was on its way.
        wire:control(Socket, {28, Mine, Pid, Ref}, late),
        ?is([], wire:ask(Socket, Me, Pid, {take, 1, 20}))
    end || Command <- [demonitor, demonitor_flush]],
    wire:close(Socket).

%% The subject waits for an `erpc:call` no longer; then the process is said to be there, and its result comes, by DOWN and by alias.
late_answer(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    check:each(5, fun(Round) ->
        wire:control(Socket, {22, Mine, Pid}, {ask, Mine, none, {erpc, Me, a_module, f, [], 50}}),
        {{29, Request, From, _, _, _}, _} = ?like({{29, _, _, _, {erpc, execute_call, _}, _}, _}, wire:signal(Socket)),
        [wire:control(Socket, {31, Request, From, 2, wire:pid(Me, 20 + Round)}) || Round rem 2 =:= 0],
        ?is({answer, none, {erpc, timeout}}, wire:answer(Socket)),
        [wire:control(Socket, {31, Request, From, 2, wire:pid(Me, 20 + Round)}) || Round rem 2 =:= 1],
        wire:control(Socket, {28, wire:pid(Me, 20 + Round), From, Request}, {Request, return, late}),
        wire:control(Socket, {33, Mine, Request}, {late, Round}),
        ?is([], wire:ask(Socket, Me, Pid, {take, 1, 20})),
        ?is(alive, wire:ask(Socket, Me, Pid, {echo, alive}))
    end),
    wire:close(Socket).

nothing(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    Pid = puppet(Socket, Me),
    Theirs = wire:ask(Socket, Me, Pid, alias),
    true = wire:ask(Socket, Me, Pid, {unalias, Theirs}),
    wire:control(Socket, {20, Mine, Pid, wire:ref(Me, 9)}),
    wire:control(Socket, {28, Mine, Pid, Theirs}, why),
    wire:control(Socket, {21, Mine, Pid, Theirs, why}),
    wire:control(Socket, {31, Theirs, Pid, 0, Mine}),
    wire:control(Socket, {33, Mine, Theirs}, lost),
    wire:control(Socket, {7, Mine, Pid}),
    ?is([], wire:ask(Socket, Me, Pid, {take, 1, 20})),
    wire:close(Socket).

spawn(Node) ->
    {Socket, Me} = peer(Node),
    Mine = wire:pid(Me),
    [begin
        Ref = wire:ref(Me, N),
        wire:control(Socket, {29, Ref, Mine, Mine, {no_such_module, f, length(Args)}, Options}, Args),
        {{31, Ref, Mine, Flags, What}} = ?like({{31, _, _, _, _}}, spawned(Socket)),
        case What of
            notsup -> ?is(0, Flags);
            badopt -> ?is(true, Options =:= [no_such_option]);
            _ -> ?is(Node, node(What))
        end
    end || {N, {Args, Options}} <- lists:enumerate([{[], []}, {[1], [monitor]}, {[a, b], [link]}, {[], [no_such_option]}])],
    ?is(alive, wire:ask(Socket, Me, subject, {echo, alive})),
    wire:close(Socket).

%% What a spawned process does before the next is asked for is passed over.
spawned(Socket) ->
    case wire:signal(Socket) of
        {Control} when element(1, Control) =:= 31 -> {Control};
        Other when is_tuple(Other) -> spawned(Socket)
    end.

lost(Node) ->
    {Socket, Me} = peer(Node),
    Pid = puppet:new(Node, [trap]),
    Mine = wire:pid(Me),
    wire:control(Socket, {1, Mine, Pid}),
    [Ref, Name, ok] = puppet:ask(Pid, {all, [{monitor, Mine}, {monitor, {a_name, Me}}, {link, Mine}]}),
    Twin = wire:pid(Me, 8),
    ok = puppet:ask(Pid, {link, Twin}),
    wire:reset(Socket),
    ?is(lists:sort([{'DOWN', Ref, process, Mine, noconnection}, {'DOWN', Name, process, {a_name, Me}, noconnection},
        {'EXIT', Mine, noconnection}, {'EXIT', Twin, noconnection}]), lists:sort(puppet:ask(Pid, {take, 4, 10000}))),
    ?is([], puppet:ask(Pid, {take, 1, 50})).
