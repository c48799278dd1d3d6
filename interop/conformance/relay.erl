%% Stands before a node and holds what a dialler says, until it is told to let it through.
-module(relay).
-export([start/0, port/1, held/1, release/2, stop/1]).

start() ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127,0,0,1}}, {nodelay, true}, {backlog, 64}]),
    Listener.

port(Listener) ->
    {ok, Port} = inet:port(Listener),
    Port.

stop(Listener) -> gen_tcp:close(Listener).

%% The next dialler has said its name, and nobody has heard it. Those that have given up already are passed over.
held(Listener) ->
    {ok, Dialler} = gen_tcp:accept(Listener, 60000),
    case wire:recv(Dialler) of
        {ok, <<$N, _/binary>> = Name} -> {Dialler, wire:frame(Name)};
        {error, closed} -> gen_tcp:close(Dialler), held(Listener)
    end.

%% The node hears it on that port; from then on all goes through, both ways. Gives the node's status, or `closed` where the
%% dialler or the node has given up before there is one.
release({Dialler, Name}, Port) ->
    Me = self(),
    Ref = make_ref(),
    Pump = spawn(fun() -> receive go -> Me ! {Ref, through(Dialler, Name, Port)} end, receive pump -> pump(Dialler) end end),
    ok = gen_tcp:controlling_process(Dialler, Pump),
    Pump ! go,
    receive {Ref, Status} -> Pump ! pump, Status after 60000 -> error(no_status) end.

through(Dialler, Name, Port) ->
    {ok, Node} = gen_tcp:connect({127,0,0,1}, Port, [binary, {active, false}, {nodelay, true}]),
    put(node, Node),
    ok = gen_tcp:send(Node, Name),
    case wire:recv(Node) of
        {ok, <<$s, Status/binary>> = Body} ->
            _ = gen_tcp:send(Dialler, wire:frame(Body)),
            Status;
        {error, _} ->
            closed
    end.

pump(Dialler) ->
    Node = get(node),
    [ok, ok] = [inet:setopts(Socket, [{active, true}]) || Socket <- [Dialler, Node]],
    pump(Dialler, Node).

pump(Dialler, Node) ->
    receive
        {tcp, Dialler, Bytes} -> _ = gen_tcp:send(Node, Bytes), pump(Dialler, Node);
        {tcp, Node, Bytes} -> _ = gen_tcp:send(Dialler, Bytes), pump(Dialler, Node);
        _ -> [gen_tcp:close(Socket) || Socket <- [Dialler, Node]]
    end.
