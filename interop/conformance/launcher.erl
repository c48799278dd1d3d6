%% Starts, stops and freezes subjects: asks the runner, which owns their processes. One line to it, all to its close back.
-module(launcher).
-export([start/1, start/2, launch/2, nameless/1, signal/2, output/1, until_output/2, name/1]).

%% A subject under a name of its own, up and connected to nobody.
start(Prefix) -> start(Prefix, []).

%% Options: {cookie, C}, {dial, Node}, {ticktime, Seconds}, {setuptime, Seconds}, {tls, File}, {min, Port}, {max, Port},
%% {atoms, cached}: through the atom cache, which OTP does always.
start(Prefix, Options) ->
    Node = name(Prefix),
    {Node, launch(Node, Options)}.

launch(Node, Options) ->
    Words = [io_lib:format(" ~s=~ts", [Key, text(Value)]) || {Key, Value} <- Options],
    case request(["start ", atom_to_list(Node), Words]) of
        <<"ok ", Id/binary>> -> string:trim(Id);
        Error -> error({subject_does_not_start, Node, Error})
    end.

%% One without a name of its own, that gets it from the node that it dials.
nameless(Peer) -> launch('undefined@127.0.0.1', [{dial, Peer}]).

%% STOP, CONT, KILL.
signal(Id, Signal) ->
    <<"ok\n">> = request(["signal ", Id, " ", atom_to_list(Signal)]),
    ok.

%% All that it has printed.
output(Id) -> request(["output ", Id]).

%% It has printed this, or one of these.
until_output(Id, [First | _] = Texts) when is_list(First) ->
    check:until({output, Texts}, fun() ->
        Output = output(Id),
        lists:any(fun(Text) -> string:find(Output, Text) =/= nomatch end, Texts) orelse Output
    end);
until_output(Id, Text) ->
    until_output(Id, [Text]).

%% A name that nobody has had.
name(Prefix) ->
    Number = integer_to_list(erlang:unique_integer([positive])),
    list_to_atom(atom_to_list(Prefix) ++ Number ++ "@127.0.0.1").

text(Value) when is_atom(Value) -> atom_to_list(Value);
text(Value) when is_integer(Value) -> integer_to_list(Value);
text(Value) -> Value.

request(Line) ->
    {ok, [[Port]]} = init:get_argument(launcher),
    {ok, Socket} = gen_tcp:connect({127,0,0,1}, list_to_integer(Port), [binary, {active, false}]),
    ok = gen_tcp:send(Socket, [Line, "\n"]),
    all(Socket, <<>>).

all(Socket, Had) ->
    case gen_tcp:recv(Socket, 0, 240000) of
        {ok, More} -> all(Socket, <<Had/binary, More/binary>>);
        {error, closed} -> Had
    end.
