%% OTP's own codec on the files given: a line for each, `otp OPERATION FILE NANOSECONDS` for the whole term.
-module(otp).
-export([main/1]).

main(Files) ->
    [measure(File) || File <- Files],
    halt(0).

measure(File) ->
    {ok, Bytes} = file:read_file(File),
    Term = binary_to_term(Bytes),
    say("decode", File, fun() -> binary_to_term(Bytes) end),
    say("encode", File, fun() -> term_to_binary(Term) end).

%% In a process of its own, whose heap is collected as it fills: that is OTP's way to drop.
say(Operation, File, Work) ->
    Me = self(),
    spawn_link(fun() -> Me ! {time, best(Work)} end),
    receive {time, Nanoseconds} -> ok end,
    io:format("otp ~s ~s ~.2f~n", [Operation, File, Nanoseconds]).

%% The best of 30 samples of about 3 ms, with the collections of garbage that fall into them.
best(Work) ->
    Once = sample(Work, 20),
    Times = max(1, round(3000000 / max(1, Once))),
    lists:min([sample(Work, Times) || _ <- lists:seq(1, 30)]).

sample(Work, Times) ->
    Begun = erlang:monotonic_time(nanosecond),
    repeat(Work, Times),
    (erlang:monotonic_time(nanosecond) - Begun) / Times.

repeat(_, 0) -> ok;
repeat(Work, Times) -> Work(), repeat(Work, Times - 1).
