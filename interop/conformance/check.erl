%% Assertions behind check.hrl.
-module(check).
-export([is/4, order/4, arrivals/1, within/2, mailbox/0, flush/0, until/2, each/2, sorted/1]).

is(Expected, Expected, _, _) ->
    ok;
is(Expected, Got, Expression, Line) ->
    error({line, Line, Expression, wanted, short(Expected), got, short(Got)}).

order(Expected, Got, Expression, Line) ->
    case differs(Expected, Got, 1) of
        same -> ok;
        {At, Wanted, There} -> error({line, Line, Expression, at, At, wanted, short(Wanted), got, short(There)})
    end.

differs([Same | Expected], [Same | Got], At) -> differs(Expected, Got, At + 1);
differs([], [], _) -> same;
differs(Expected, Got, At) -> {At, lists:sublist(Expected, 1), lists:sublist(Got, 1)}.

%% The next so many `{Pid, N, Binary}`, of whomever, as they came.
arrivals(0) -> [];
arrivals(Count) ->
    receive {Pid, _, _} = Message when is_pid(Pid) -> [Message | arrivals(Count - 1)]
    after 60000 -> error({missing, Count, in, mailbox()})
    end.

%% What is in the caller's mailbox, in order. It stays there.
mailbox() ->
    {messages, Messages} = process_info(self(), messages),
    short(Messages).

flush() ->
    receive Message -> [Message | flush()] after 0 -> [] end.

%% Looks until it is true. For what a node says of itself, which has no message.
until(What, Fun) ->
    until(What, Fun, erlang:monotonic_time(millisecond) + 60000).

until(What, Fun, Deadline) ->
    case Fun() of
        true -> ok;
        Other ->
            erlang:monotonic_time(millisecond) < Deadline orelse error({in_vain, What, Other}),
            timer:sleep(10),
            until(What, Fun, Deadline)
    end.

%% Whether it becomes true within so many milliseconds. For what may be true and need not.
within(Ms, Fun) ->
    Fun() orelse (Ms > 0 andalso begin timer:sleep(10), within(Ms - 10, Fun) end).

%% A number of rounds; the failing one is named.
each(Rounds, Fun) ->
    lists:foreach(fun(Round) ->
        try Fun(Round)
        catch Class:Reason:Stack -> erlang:raise(Class, {round, Round, Reason}, Stack)
        end
    end, lists:seq(1, Rounds)).

sorted(List) -> lists:sort(List).

short(Term) ->
    case erts_debug:flat_size(Term) > 2000 orelse byte_size(term_to_binary(Term)) > 4000 of
        true -> {much, lists:sublist(lists:flatten(io_lib:format("~0tP", [Term, 40])), 500)};
        false -> Term
    end.
