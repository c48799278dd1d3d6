%% What a node logs, kept on that node for the cases that ask why something failed.
-module(heard).
-export([start/0, log/2, all/0]).

start() ->
    Me = self(),
    spawn(fun() ->
        ?MODULE = ets:new(?MODULE, [named_table, public, ordered_set]),
        ok = logger:add_handler(?MODULE, ?MODULE, #{}),
        Me ! {?MODULE, ready},
        timer:sleep(infinity)
    end),
    receive {?MODULE, ready} -> ok end.

log(Event, _) ->
    Line = logger_formatter:format(Event, #{single_line => true, legacy_header => false}),
    ets:insert(?MODULE, {erlang:unique_integer([monotonic]), unicode:characters_to_list(Line)}).

%% The events, in order, each in one line.
all() -> [Line || {_, Line} <- ets:tab2list(?MODULE)].
