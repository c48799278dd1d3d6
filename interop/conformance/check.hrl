%% What a case says. A failed one ends with an error that names the line and what was there instead.

%% A value is exactly this.
-define(is(Expected, Expression), check:is(Expected, Expression, ??Expression, ?LINE)).

%% A value looks like this; gives it back.
-define(like(Pattern, Expression),
    (fun() -> case Expression of
        Pattern = Like__ -> Like__;
        Other__ -> error({line, ?LINE, ??Expression, wanted, ??Pattern, got, Other__})
    end end)()).

%% A message like this comes, wherever in the mailbox; gives `Value`.
-define(get(Pattern), ?get(Pattern, ok)).
-define(get(Pattern, Value),
    (fun() -> receive Pattern -> Value
     after 60000 -> error({line, ?LINE, no_message_like, ??Pattern, in, check:mailbox()})
     end end)()).

%% These, in this order; the first difference is named.
-define(order(Expected, Expression), check:order(Expected, Expression, ??Expression, ?LINE)).

%% Nothing is in the mailbox.
-define(nothing(), check:is([], check:mailbox(), "mailbox", ?LINE)).
