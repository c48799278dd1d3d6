%% Assertions behind check.hrl.
-module(check).
-export([is/4, mailbox/0, flush/0, until/2, each/2, sorted/1]).

is(Expected, Expected, _, _) ->
    ok;
is(Expected, Got, Expression, Line) ->
    error({line, Line, Expression, wanted, short(Expected), got, short(Got)}).

%% What is in the caller's mailbox, in order. It stays there.
mailbox() ->
    {messages, Messages} = process_info(self(), messages),
    short(Messages).

flush() ->
    receive Message -> [Message | flush()] after 0 -> [] end.

%% Looks until it is true. For what a node says of itself, which has no message.
until(What, Fun) ->
    until(What, Fun, erlang:monotonic_time(millisecond) + 20000).

until(What, Fun, Deadline) ->
    case Fun() of
        true -> ok;
        Other ->
            erlang:monotonic_time(millisecond) < Deadline orelse error({in_vain, What, Other}),
            timer:sleep(10),
            until(What, Fun, Deadline)
    end.

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
