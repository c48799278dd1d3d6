%% Distribution over TLS: who is let in, and by whom.
-module(tls_cases).
-export([cases/0, talk/1]).
-include("check.hrl").

cases() ->
    [
        {both_show_certificates, fun mutual/1},
        {a_caller_without_a_certificate_where_none_is_demanded, fun one_sided/1},
        {a_caller_without_a_certificate_where_one_is_demanded, fun no_certificate/1},
        {a_certificate_for_another_host, fun wrong_host/1},
        {a_certificate_that_has_expired, fun expired/1},
        {a_certificate_of_another_authority, fun stranger/1},
        {one_side_speaks_no_tls, fun plain/1},
        {a_caller_that_dies_on_the_way, fun dies/1}
    ].

%% An option file that the runner has written:
%% `node`: a good certificate, and everybody must show one; `bare`: callers show none; `open`: none is demanded;
%% `elsewhere`, `expired`, `stranger`: as `node`, with such a certificate.
file(Name) ->
    {ok, [[Folder]]} = init:get_argument(certificates),
    Folder ++ "/" ++ atom_to_list(Name) ++ ".conf".

peer(Name) ->
    Node = launcher:name(secret),
    Peer = peers:start(Node, ["-proto_dist", "inet_tls", "-ssl_dist_optfile", file(Name), "-kernel", "net_setuptime", "120"]),
    ok = peers:call(Peer, heard, start, []),
    {Peer, Node}.

subject(Name) -> subject(Name, []).
subject(Name, Options) -> launcher:start(tls, [{tls, file(Name)} | [{setuptime, 120} || not lists:keymember(setuptime, 1, Options)] ++ Options]).

connects(Peer, Node) -> peers:call(Peer, net_kernel, connect_node, [Node], 60000).

%% The peer reaches the subject, and the subject, started anew, the peer.
both_ways(Ours, Theirs) ->
    {Peer, Name} = peer(Ours),
    {Node, _} = subject(Theirs),
    ?is(true, connects(Peer, Node)),
    {_, Id} = subject(Theirs, [{dial, Name}]),
    launcher:until_output(Id, "dial true"),
    {Peer, Node}.

%% Neither reaches the other, and for this reason: an alert of TLS that the peer gives or gets, first as the one who dials.
neither_way(Ours, Theirs, Alerts) ->
    {Peer, Name} = peer(Ours),
    {Node, _} = subject(Theirs),
    ?is(false, connects(Peer, Node)),
    until_heard(Peer, "TLS client", Alerts),
    {_, Id} = subject(Theirs, [{dial, Name}]),
    launcher:until_output(Id, "dial false"),
    until_heard(Peer, "TLS server", Alerts),
    {Peer, Node}.

%% The peer's log has a line of this side with one of these. All that is refused here is refused for what TLS says, not because
%% time is over: there are two minutes for a handshake.
until_heard(Peer, Side, Alerts) ->
    check:until({heard, Side, Alerts}, fun() ->
        Lines = peers:call(Peer, heard, all, []),
        Told = fun(Line) -> has(Line, [Side]) andalso has(Line, Alerts) end,
        lists:any(Told, Lines) orelse Lines
    end).

has(Text, Words) -> lists:any(fun(Word) -> string:find(Text, Word) =/= nomatch end, Words).

%% It takes those that do better.
whole(Node) ->
    {Peer, _} = peer(node),
    ?is(true, connects(Peer, Node)),
    ?is(alive, peers:call(Peer, puppet, ask, [{subject, Node}, {echo, alive}])),
    peer:stop(Peer).

mutual(_) ->
    {Peer, Node} = both_ways(node, node),
    ok = peers:call(Peer, ?MODULE, talk, [Node], 60000),
    peer:stop(Peer).

%% There: large and small, both ways.
talk(Node) ->
    Pid = puppet:new(Node),
    Large = rand:bytes(8 bsl 20),
    ?is(Large, puppet:ask(Pid, {echo, Large}, 30000)),
    [?is(N, puppet:ask(Pid, {echo, N})) || N <- lists:seq(1, 100)],
    ok.

one_sided(_) ->
    {Peer, Node} = both_ways(open, open),
    ?is(alive, peers:call(Peer, puppet, ask, [{subject, Node}, {echo, alive}])),
    peer:stop(Peer).

no_certificate(_) ->
    {Peer, _} = peer(bare),
    {Node, _} = subject(node),
    ?is(false, connects(Peer, Node)),
    %% The former with TLS 1.3, the latter with 1.2.
    until_heard(Peer, "TLS client", ["received SERVER ALERT: Fatal - Certificate required", "received SERVER ALERT: Fatal - Handshake Failure"]),
    whole(Node),
    peer:stop(Peer),
    {Other, Demanding} = peer(node),
    {_, Id} = subject(bare, [{dial, Demanding}]),
    launcher:until_output(Id, "dial false"),
    until_heard(Other, "TLS server", ["no_client_certificate_provided", "Certificate required"]),
    peer:stop(Other).

%% The called one shows it: nobody believes that this is the node.
wrong_host(_) ->
    {Peer, _} = peer(node),
    {Node, _} = subject(elsewhere),
    ?is(false, connects(Peer, Node)),
    until_heard(Peer, "TLS client", ["hostname_check_failed"]),
    peer:stop(Peer),
    {Other, Name} = peer(elsewhere),
    {_, Id} = subject(node, [{dial, Name}]),
    launcher:until_output(Id, "dial false"),
    %% What an OTP subject logs, and what ours says.
    launcher:until_output(Id, ["hostname_check_failed", "it is for elsewhere.example.com, not for 127.0.0.1"]),
    peer:stop(Other).

expired(_) ->
    [begin
        {Peer, _} = neither_way(Ours, Theirs, ["Fatal - Certificate Expired"]),
        peer:stop(Peer)
    end || {Ours, Theirs} <- [{expired, node}, {node, expired}]].

stranger(_) ->
    {Peer, Node} = neither_way(stranger, node, ["Fatal - Unknown CA"]),
    peer:stop(Peer),
    whole(Node).

%% Each waits for what the other never says, as long as a handshake may take.
plain(_) ->
    {Node, _} = subject(node),
    Plain = launcher:name(plain),
    Peer = peers:start(Plain, ["-kernel", "net_setuptime", "1"]),
    ?is(false, connects(Peer, Node)),
    {_, Id} = subject(node, [{setuptime, 1}, {dial, Plain}]),
    launcher:until_output(Id, "dial false"),
    peer:stop(Peer),
    whole(Node).

%% -- a TLS record cut anywhere, and what is none --

dies(_) ->
    {Node, _} = subject(node),
    %% The beginning of a ClientHello, and of other things.
    [begin
        Socket = wire:connect(Node),
        ok = wire:send(Socket, Bytes),
        End(Socket)
    end || Bytes <- [<<>>, <<22>>, <<22, 3, 1, 2, 0, 1, 0>>, <<"GET / HTTP/1.1\r\n\r\n">>, wire:name(launcher:name(raw))],
           End <- [fun wire:close/1, fun wire:reset/1]],
    whole(Node).
