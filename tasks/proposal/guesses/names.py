"""The names that logs give to users, items, times and kinds of events, most certain first."""

from __future__ import annotations

import re
from typing import Final

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "user": (
        "userid", "user", "uid", "customerid", "customer", "visitorid", "idvisitor", "userpseudoid",
        "fullvisitorid", "memberid", "member", "accountid", "profileid", "subscriberid", "clientid",
        "client", "shopperid", "buyerid", "reviewerid", "personid", "playerid", "listenerid", "viewerid",
        "readerid", "studentid", "patronid", "custid", "customernumber", "customerno", "externalid",
        "distinctid", "domainuserid", "networkuserid", "anonymousid", "cookieid", "cookie", "deviceid",
        "visitor", "username", "login", "email", "customeremail", "useremail", "emailaddress",
        "kundennummer", "kundennr", "kdnr", "kundenid", "kunde", "nutzer", "nutzerid", "benutzer",
        "clientnumero", "utilisateur", "usuario", "cliente", "sessionid", "session",
    ),
    "item": (
        "itemid", "item", "productid", "product", "sku", "itemsku", "productsku", "lineitemsku",
        "movieid", "movie", "asin", "articleid", "article", "contentid", "stockcode", "trackid", "songid",
        "track", "song", "bookid", "book", "isbn", "isbn13", "videoid", "video", "showid", "gameid",
        "newsid", "storyid", "courseid", "recipeid", "listingid", "offerid", "goodsid", "postid", "docid",
        "documentid", "artistid", "artist", "businessid", "venueid", "poiid", "adid", "variantid",
        "parentasin", "productcode", "itemcode", "itemno", "itemnumber", "materialnumber", "ean", "gtin",
        "upc", "tisku", "productname", "itemname", "lineitemname", "artikelnummer", "artikelnr", "artnr",
        "artikelid", "artikel", "produkt", "produktid", "produit", "producto", "idactionproductsku",
        "idactionsku", "idactionname", "idactionurl", "selabel", "contentname", "entityid", "objectid",
        "targetid", "pageurlpath", "pageid", "pageurl", "url", "path", "title",
    ),
    "timestamp": (
        "timestamp", "eventtimestamp", "eventtime", "ts", "time", "datetime", "originaltimestamp",
        "servertime", "servertimestamp", "derivedtstamp", "collectortstamp", "dvcecreatedtstamp",
        "occurredat", "eventdatetime", "createdat", "created", "invoicedate", "orderdate", "purchasedate",
        "orderpurchasetimestamp", "transactiondate", "ratedat", "viewedat", "clickedat", "playedat",
        "watchedat", "addedat", "when", "timestampms", "timestampus", "unixtime", "epoch",
        "unixreviewtime", "reviewtime", "tstamp", "utctime", "localtime", "clientts", "requesttime",
        "starttime", "eventdate", "date", "day", "receivedat", "sentat", "paidat", "processedat",
        "updatedat", "t", "zeitstempel", "zeitpunkt", "datum", "zeit", "bestelldatum", "fecha",
        "horodatage",
    ),
    "event_type": (
        "eventtype", "eventname", "event", "action", "actiontype", "activity", "activitytype", "behavior",
        "behaviour", "behaviortype", "interaction", "interactiontype", "seaction", "verb", "type", "kind",
        "ereignis", "aktion", "typ",
    ),
    "value": (
        "rating", "ratings", "stars", "score", "overall", "reviewscore", "reviewrating", "starrating",
        "value", "bewertung", "sterne", "note", "playcount",
    ),
    "session": (
        "sessionid", "session", "domainsessionid", "gasessionid", "idvisit", "visitid", "sid", "orderid",
        "invoiceno", "invoice",
    ),
}  # fmt: skip
"""Names without case, spaces and punctuation, for each field of an interaction."""
DAYS: Final = ("eventdate", "date", "day", "dt", "ds", "datum", "fecha")
"""Names of columns that often hold only the day, such as of partitions, beside the time."""
CLOCKS: Final = ("time", "hour", "clock", "zeit", "uhrzeit", "heure", "hora", "eventtime", "timeofday")
"""Names of columns that hold the time of day beside a date."""
ORDERS: Final = ("name", "order", "ordernumber", "orderid", "orderno", "invoice", "invoiceno", "id")
"""Names of columns that stay the same on the lines of an order."""
NOUNS: Final = {
    "user": {
        "user",
        "customer",
        "visitor",
        "member",
        "account",
        "client",
        "buyer",
        "shopper",
        "kunde",
        "uid",
    },
    "item": {
        "item",
        "product",
        "sku",
        "movie",
        "article",
        "content",
        "track",
        "song",
        "book",
        "asin",
        "artikel",
    },
    "timestamp": {"time", "timestamp", "date", "datetime", "ts", "at", "tstamp", "datum", "zeit"},
    "event_type": {"event", "action", "behavior"},
    "value": {"rating", "stars", "score"},
    "session": {"session", "visit"},
}
IDS: Final = {"id", "ids", "sku", "code", "key", "no", "number", "uuid", "guid", "nr", "hash"}
SEVERAL: Final = re.compile(r"(?<=[a-zA-Z])[sS]$|(?<=[a-zA-Z])[sS](?=[_ -]?(?:ids?|skus?|codes?)$)")
PATH: Final = re.compile(r"\[\]\.|\.(?=\w)")
"""What separates the parts of a nested name; the points of Kunden-Nr. and Art.-Nr. do not."""
WORDS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_]+")


def normal(name: str) -> str:
    """Return a name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name).lower()


def tokens(name: str) -> list[str]:
    """Return the words of a name, in small letters: eventTimeMs gives event, time, ms."""
    return [word.lower() for word in WORDS.findall(name)]


def likeness(name: str, role: str) -> float:
    """Return how much a name is one of a role: 1 for the surest, 0 for none.

    Of a nested name (properties.product_id), the last part counts, and a little less.
    """
    *above, leaf = PATH.split(name.removesuffix("[]"))
    depth = 0.03 * len(above)
    if normal(leaf) == "id" and above:  # user.id
        leaf, depth = f"{above[-1]}_id", depth - 0.03
    names = ROLES[role]
    if role == "item" and normal(leaf) not in names:
        leaf, depth = SEVERAL.sub("", leaf), depth + 0.03  # a cell may hold several
    if normal(leaf) in names:
        return 1 - 0.5 * names.index(normal(leaf)) / len(names) - depth
    words = set(tokens(leaf))
    if words & NOUNS[role] and not words & {
        "count",
        "name",
        "agent",
        "ip",
        "ipaddress",
        "fingerprint",
        "index",
        "type",
        "zone",
        "price",
    }:
        named = role == "timestamp" or bool(words & IDS)
        return (0.4 if named else 0.25) - depth
    return 0.0
