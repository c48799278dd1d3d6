%% Asks processes of the subject to do something; subject.erl has the commands.
-module(puppet).
-export([new/1, new/2, several/2, ask/2, ask/3, begin_/2, answer/1, answer/2, settled/1, die/2,
         sink/0, sunk/1]).

%% A process of the node.
new(Node) -> new(Node, []).
new(Node, Options) -> ask({subject, Node}, {puppet, Options}).

several(Node, N) -> ask({subject, Node}, {puppets, N}).

%% What a command gives. It must end within so many milliseconds.
ask(Whom, Command) -> ask(Whom, Command, 60000).
ask(Whom, Command, Ms) -> answer(begin_(Whom, Command), Ms).

%% The same in two halves.
begin_(Whom, Command) ->
    Tag = monitor(process, Whom),
    Whom ! {ask, self(), Tag, Command},
    {Tag, Command}.

answer(Asked) -> answer(Asked, 60000).
answer({Tag, Command}, Ms) ->
    receive
        {answer, Tag, {failed, Why}} ->
            demonitor(Tag, [flush]),
            error({subject_failed, Command, Why});
        {answer, Tag, Result} ->
            demonitor(Tag, [flush]),
            Result;
        {'DOWN', Tag, _, _, Reason} ->
            error({subject_ended, Command, Reason})
    after Ms ->
        demonitor(Tag, [flush]),
        error({no_answer, Command, after_ms, Ms})
    end.

%% Has it exit with a reason, without waiting: nothing comes back but what links and monitors say.
die(Whom, Reason) ->
    Whom ! {ask, self(), none, {exit, Reason}},
    ok.

%% All that I have sent to the node so far is there, and all that it had sent to me before is here.
settled(Node) ->
    pid = ask({subject, Node}, {echo, pid}),
    ok.

%% A process of a peer that counts what comes.
sink() -> sink([]).
sink(Numbers) ->
    receive
        {From, Tag} when is_reference(Tag) -> From ! {Tag, lists:reverse(Numbers)}, sink(Numbers);
        {_, N, _} -> sink([N | Numbers])
    end.

sunk(Sink) ->
    Tag = make_ref(),
    Sink ! {self(), Tag},
    receive {Tag, Numbers} -> Numbers after 60000 -> error(sink) end.
