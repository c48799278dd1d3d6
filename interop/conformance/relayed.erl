%% What OTP asks about the port mapper (`-epmd_module relayed`), for a node that is registered with the port of a relay
%% (`-relay PORT`) in place of its own: who dials it comes to the relay.
-module(relayed).
-export([start_link/0, register_node/2, register_node/3, address_please/3, port_please/2, port_please/3, listen_port_please/2,
         names/1, port/0]).

start_link() -> erl_epmd:start_link().

register_node(Name, Port) -> register_node(Name, Port, inet).
register_node(Name, Port, Family) ->
    persistent_term:put(?MODULE, Port),
    {ok, [[Relay]]} = init:get_argument(relay),
    erl_epmd:register_node(Name, list_to_integer(Relay), Family).

%% Where the node itself listens.
port() -> persistent_term:get(?MODULE).

address_please(Name, Host, Family) -> erl_epmd:address_please(Name, Host, Family).
port_please(Name, Host) -> erl_epmd:port_please(Name, Host).
port_please(Name, Host, Timeout) -> erl_epmd:port_please(Name, Host, Timeout).
listen_port_please(Name, Host) -> erl_epmd:listen_port_please(Name, Host).
names(Host) -> erl_epmd:names(Host).
