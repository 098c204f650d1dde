#!/usr/bin/env python3
"""Text for the bundled demo: a pre-training corpus and a table-to-text set, both from the grammars below.

    python3 tools/demo/grammar.py data                     # writes sweeps/data/ (a second)
    python3 tools/demo/grammar.py corpus 1000 | less       # looks at 1,000 documents of the pre-training text

Where it stands: make_model.py trains the tokenizer and the model on corpus(); sweeps/beam_grid.yaml trains prefixes
on the target set.  Only the standard library is used and every draw comes from random.Random(seed), so the same
Python writes the same bytes.  All words here are our own; nothing is copied from a corpus.

Two worlds, kept apart on purpose:

* The pre-training world: fifteen domains (hotels, films, trains, pets, ...) in a dozen styles, with and without a
  table in front.  It teaches a language model English of a sort, and above all to copy values out of a table.
* The target world: boats in a harbour, announced in the voice of an old harbour master ("Moored at Gull Quay lies
  the Lark , ...").  Neither the domain nor the voice occurs in pre-training, so that the bare model scores low and a
  prefix has something to add.
"""
import random
import re
import sys
from pathlib import Path

SEED = 20240607
EOT = "<|endoftext|>"
CUT = "\x1f"          # the two sides are given to the tokenizer apart, as prompt and answer are

# --------------------------------------------------------------------------------------------------- proper names
# Names are made of syllables, from a pool far too large to memorise: the model must learn to copy.
HEAD = ("Al An Ar Bal Bel Bor Bran Cal Cor Dal Dor Dun El Fal Fen Gal Gar Hal Hol Il Jor Kel Kir Lan Lor Mal Mar "
        "Mel Mor Nal Nor Ol Or Pel Per Quin Ral Ren Ros Sal San Sel Tal Tar Tel Tor Ul Val Van Vel Vin Wal Wen Wil "
        "Yor Zan").split()
MID = "a e i o u an en in on ar er or al el il ti ri di mi ni li do mo na ra".split()
TAIL = ("bury by combe da dale den don dor field ford gate ham holm ia ina ington lan ley lin ling lo ma mar mere mond "
        "mouth na ner nia nor on ova rick rin ro sa set stead stow ta thorpe ton tor va vale vin wick worth").split()
ODD = ["Café", "Übel", "Ångst", "Señor", "Zoë", "Łódka", "Été", "Brontë", "Niño", "Crème"]
ADJ = ("Golden Silver Red Blue Green White Black Old Little Great Lucky Quiet Merry Proud Wild Lonely Royal Happy "
       "Brave Swift Gentle Crooked Hidden Broken Painted Iron Copper Amber Crimson Velvet").split()
NOUN = ("Heron Lark Fox Hare Lion Swan Otter Raven Bear Wolf Stag Owl Crown Bell Star Moon Rose Oak Willow Anchor "
        "Lantern Mill Bridge Garden River Mountain Feather Thistle Acorn Compass Candle Kettle Barrel Wheel Arrow "
        "Harp Drum Pearl Ember Maple Falcon Sparrow Badger Salmon Dolphin Clover Ivy Holly Orchid Comet").split()
FIRST = ("Ada Ben Cora Dan Edith Finn Greta Hugo Ida Jack Kit Lena Max Nora Otto Pia Rolf Sara Tom Una Vera Will Yara "
         "Zoë Anna Bert Clara David Emma Frank Grace Henry Iris James Kate Leo Maria Nils Olga Paul Rosa Sven Tilda "
         "Ulla Victor Walter René José Björn Chloé").split()


def invented(r):
    """One invented proper name, such as Velmarton."""
    if r.random() < 0.02:
        return r.choice(ODD)
    return r.choice(HEAD) + (r.choice(MID) if r.random() < 0.35 else "") + r.choice(TAIL)


def person(r):
    return (r.choice(FIRST) if r.random() < 0.6 else invented(r)) + " " + invented(r)


QUAY_A = "Gull Salt Rope Heron North South Customs Fish Lantern Anchor Willow King Queen Copper Mill Pilot Storm".split()
QUAY_B = ["Quay", "Pier", "Wharf", "Dock", "Steps", "Basin"]


def quay(r):
    return (r.choice(QUAY_A) if r.random() < 0.5 else invented(r)) + " " + r.choice(QUAY_B)


def place(r):
    return r.choice([invented, invented, quay, lambda q: q.choice(NOUN) + q.choice([" Street", " Hill", " Lane", " Square",
                    " Park", " Corner"]), lambda q: invented(q) + q.choice([" Road", " Hill", " Green", " Court"])])(r)


def thing_name(r):
    return r.choice([invented, invented, lambda q: q.choice(ADJ) + " " + q.choice(NOUN),
                     lambda q: "The " + q.choice(ADJ) + " " + q.choice(NOUN), lambda q: q.choice(NOUN) + " " + invented(q),
                     lambda q: invented(q) + " " + q.choice(NOUN), lambda q: q.choice(NOUN)])(r)


# ------------------------------------------------------------------------------------------------------ value pools
def words(text):
    pool = [w.strip() for w in text.split(",")]
    return lambda r: r.choice(pool)


def numbers(low, high, unit=""):
    return lambda r: str(r.randint(low, high)) + unit


def pair_of(pool):
    def draw(r):
        a, b = pool(r), pool(r)
        return a if a == b or r.random() < 0.5 else a + " and " + b
    return draw


COLOUR = words("red, blue, green, white, black, grey, yellow, brown, orange, purple, silver, dark blue, pale green, pink, cream")
DAY = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTH = words("January, February, March, April, May, June, July, August, September, October, November, December")
PRICE = words("cheap, moderate, high, low, less than £20, more than £30, £20-25, £5, £12, £40, £75, £100")
RATING = words("low, average, high, 1 out of 5, 3 out of 5, 5 out of 5, poor, good, excellent")
AREA = words("city centre, riverside, old town, north side, south side, east end, market quarter, the hills, the coast, "
             "the harbour district, the valley, the suburbs")
FOODS = words("Italian, French, English, Indian, Chinese, Japanese, Fast food, Spanish, Greek, Turkish, Mexican")
GOODS = words("salt, rope, timber, wool, coal, tea, coffee, sugar, apples, oranges, fish, grain, wine, oil, spices, silk, "
              "paper, bricks, glass, iron, copper, potatoes, onions, cheese, honey, barrels, furniture, cotton, flour, rice, "
              "lemons, nails, books, soap, candles, herrings")
YESNO = words("yes, no")
TIME = lambda r: str(r.randint(5, 11)) + r.choice([" am", " pm", " in the morning", " in the evening"])
MOOD = words("calm, cheerful, shy, clever, lazy, noisy, friendly, proud, gentle, curious, stubborn, brave, patient, quiet")
BOAT = words("tug, ferry, schooner, barge, trawler, sloop, cutter, steamer, yacht")


class Field:
    """A column: its key's spellings, its values, and ways to say it (V stands for the value)."""

    def __init__(self, keys, values, clauses, short=""):
        self.keys, self.values = keys.split("|"), values
        self.clauses, self.short = clauses.split("|"), short.split("|") if short else []


class Domain:
    def __init__(self, kinds, namer, pronoun, fields, kind_key="type|kind|category"):
        self.kinds, self.namer, self.pronoun, self.fields = kinds.split("|"), namer, pronoun, fields
        self.kind_keys = kind_key.split("|")


F = Field
WHERE = F("area|where|location|place", lambda r: AREA(r) if r.random() < 0.5 else place(r),
          "is in V|stands in V|can be found in V|is located in V", "in V|from V")
NEAR = F("near|next to|close to", thing_name, "is near V|is close to V|stands next to V", "near V|close to V|not far from V")
COST = F("price|price range|cost", PRICE, "costs V|has a price of V|is priced at V", "priced V|for V")
RATE = F("rating|customer rating|score", RATING, "has a V rating|is rated V|got a rating of V", "rated V|with a V rating")
HUE = F("colour|color", COLOUR, "is V|is painted V|has a V colour|comes in V", "in V")
YEAR = F("year|built|since", numbers(1850, 2023), "dates from V|goes back to V|began in V", "from V")
OWNER = F("owner|run by|keeper", person, "belongs to V|is owned by V|is looked after by V|is run by V", "of V|under V")
OPEN = F("open|opens|day", DAY, "opens on V|is open on V|is there on V", "every V|on V")

DOMAINS = [
    Domain("hotel|inn|guest house|lodge|hostel", thing_name, "it",
           [WHERE, F("rooms", numbers(3, 90), "has V rooms|offers V rooms", "with V rooms"), COST, RATE, NEAR, OWNER,
            F("breakfast", YESNO, "serves breakfast : V")]),
    Domain("restaurant|pub|coffee shop|bistro", thing_name, "it",
           [F("food", FOODS, "serves V food|offers V food|is known for V food", "with V food"), COST, RATE, WHERE,
            F("family friendly", YESNO, "is family friendly : V"), NEAR], "eatType|type"),
    Domain("film|comedy|western|drama|cartoon", thing_name, "it",
           [F("director|made by", person, "was made by V|was directed by V", "by V"),
            F("star|actor|lead", person, "stars V|has V in the lead", "with V"), YEAR, RATE,
            F("length|minutes", numbers(70, 190), "lasts V minutes|runs for V minutes", "of V minutes"),
            F("country", invented, "comes from V|was shot in V", "from V")], "genre|type"),
    Domain("phone|camera|radio|lamp|clock|drill", invented, "it",
           [HUE, COST, F("weight", numbers(1, 40, " kg"), "weighs V", "at V"),
            F("maker|brand", invented, "is made by V|comes from V", "by V|from V"),
            F("battery", numbers(2, 30, " hours"), "lasts V|runs for V", "with V of battery"), RATE], "type|device"),
    Domain("teacher|baker|doctor|painter|farmer|pilot|singer|tailor|sailor|nurse", person, "he",
           [F("age", numbers(18, 90), "is V years old|is V", "aged V"),
            F("home|city|lives in", invented, "lives in V|comes from V|has a house in V", "of V|from V"),
            F("hobby|likes", words("chess, rowing, reading, gardening, painting, fishing, music, running, cooking, dancing"),
              "likes V|spends the weekend on V|is fond of V", "with a love of V"),
            F("works for|firm", invented, "works for V|has a job at V", "at V"),
            F("friend", person, "is a friend of V|knows V well"), F("pet", words("dog, cat, horse, parrot, goat, rabbit"),
              "has a V|keeps a V", "with a V")], "job|profession|work"),
    Domain("train|bus|tram|coach", lambda r: r.choice([thing_name(r), r.choice("ABCEGKR") + str(r.randint(1, 999))]), "it",
           [F("from|leaves from", invented, "leaves from V|starts at V", "from V"),
            F("to|destination|bound for", invented, "goes to V|is bound for V|runs to V", "to V|bound for V"),
            F("departs|time|leaves", TIME, "leaves at V|departs at V", "at V"),
            F("platform|stop", numbers(1, 24), "stops at platform V|waits at platform V", "from platform V"),
            F("driver", person, "is driven by V|has V at the wheel", "with V"), COST, OPEN]),
    Domain("soup|cake|stew|salad|pie|bread", lambda r: r.choice([invented, thing_name, lambda q: q.choice(ADJ) + " " + invented(q)])(r), "it",
           [F("made with|ingredient|main", pair_of(GOODS), "is made with V|needs V|contains V", "with V"),
            F("minutes|cooking time", numbers(5, 120), "takes V minutes|cooks in V minutes", "in V minutes"),
            F("serves|for", numbers(1, 12), "serves V people|feeds V people", "for V"),
            F("from|region", invented, "comes from V|is a dish of V", "from V"),
            F("cook|chef", person, "was first cooked by V|is made by V", "by V")], "type|dish"),
    Domain("city|town|village|port|capital", invented, "it",
           [F("people|population", numbers(200, 90000), "has V people|is home to V people", "with V people"),
            F("river", invented, "lies on the river V|is on the V", "on the V"),
            F("mayor", person, "has V as mayor|is led by V", "under V"),
            F("known for|trade", pair_of(GOODS), "is known for V|sells V|lives by V", "known for V"),
            F("country|region", invented, "is in V|belongs to V", "in V"), YEAR]),
    Domain("dog|cat|horse|rabbit|parrot|goat|pony", lambda r: r.choice([invented, lambda q: q.choice(NOUN),
                                                                        lambda q: q.choice(FIRST)])(r), "it",
           [HUE, F("age", numbers(1, 20), "is V years old", "aged V"), OWNER,
            F("mood|character", MOOD, "is V|can be V|is often V"), F("eats|food", GOODS, "eats V|likes V", "fond of V"),
            F("home|lives in", place, "lives in V|sleeps in V", "of V")], "animal|type"),
    Domain("storm|frost|fog|rain|heat wave", invented, "it",
           [F("place|over", invented, "was over V|came to V|passed over V", "over V|in V"), F("day", DAY, "came on V|began on V", "on V"),
            F("wind", numbers(5, 120, " km"), "had winds of V", "with winds of V"),
            F("lasts|hours", numbers(2, 60), "lasted V hours|went on for V hours", "of V hours"),
            F("month", MONTH, "came in V|is common in V", "in V")], "weather|type"),
    Domain("novel|poem|story|song|play|diary", thing_name, "it",
           [F("author|written by|writer", person, "was written by V|is by V", "by V"), YEAR,
            F("pages", numbers(20, 900), "has V pages|runs to V pages", "of V pages"),
            F("about|subject", words("love, war, the sea, the moon, a journey, a garden, winter, money, two brothers, a lost ring"),
              "is about V|tells of V|deals with V", "about V"), COST,
            F("hero", person, "follows V|has V as its hero", "with V")], "genre|form|type"),
    Domain("museum|castle|church|tower|library|theatre|school", thing_name, "it",
           [WHERE, YEAR, OPEN, F("architect|built by", person, "was built by V|was planned by V", "by V"), COST,
            F("holds|collection", pair_of(GOODS), "holds V|keeps V|has a room of V", "with V"), NEAR], "building|type"),
    Domain("shop|farm|bakery|factory|mill|workshop", thing_name, "it",
           [F("sells|goods|product", pair_of(GOODS), "sells V|makes V|offers V|deals in V", "with V|selling V"), OWNER, WHERE, OPEN,
            F("workers|staff", numbers(2, 200), "has V workers|employs V people", "with V workers"), HUE], "business|type"),
    Domain("football club|choir|band|chess club|team", thing_name, "it",
           [F("leader|captain|coach", person, "is led by V|has V in charge|listens to V", "under V|led by V"),
            F("members", numbers(3, 80), "has V members|counts V people", "of V"), F("meets|day", DAY, "meets on V|comes together on V", "on V"),
            F("home|ground", place, "meets in V|plays at V|is at home in V", "from V|at V"), HUE, YEAR], "group|type"),
    Domain("tree|rose|herb|fern|orchid", invented, "it",
           [HUE, F("height", numbers(2, 40, " metres"), "grows to V|is V tall", "of V"), F("flowers|month", MONTH, "flowers in V|is best in V", "in V"),
            F("soil", words("sand, clay, chalk, peat, wet soil, dry soil"), "likes V|grows in V", "for V"),
            F("found by|grower", person, "was found by V|is grown by V", "by V"), COST], "plant|type"),
]
del F

# ------------------------------------------------------------------------------------------ an item, and its table
class Item:
    """One thing of one domain: a name, a kind, and some fields with values."""

    def __init__(self, r, domain=None, least=2, most=5):
        self.d = domain or r.choice(DOMAINS)
        self.name, self.kind = self.d.namer(r), r.choice(self.d.kinds)
        fields = r.sample(self.d.fields, min(len(self.d.fields), r.randint(least, most)))
        self.facts = [(f, f.values(r)) for f in fields]
        self.it = r.choice(["he", "she"]) if self.d.pronoun == "he" else "it"

    def table(self, r):
        rows = [(r.choice(f.keys), v) for f, v in self.facts]
        if r.random() < 0.8:
            rows.insert(r.randint(0, len(rows)) if r.random() < 0.3 else 0, (r.choice(self.d.kind_keys), self.kind))
        rows.insert(0, (r.choice(["name", "name", "name", "title", "who", "what"]), self.name))
        return " | ".join(k + " : " + v for k, v in rows)

    def says(self, r, fact):
        """A verb phrase for a fact, such as 'opens on Monday'."""
        f, v = fact
        c = r.choice(f.clauses).replace("V", v)
        return c.replace(" : yes", "").replace("is family friendly : no", "is not family friendly").replace(
            "serves breakfast : no", "has no breakfast")

    def short(self, r, fact):
        """A modifier, such as 'near The Old Mill'; None where the field has none."""
        f, v = fact
        return r.choice(f.short).replace("V", v) if f.short else None

    def split(self, r):
        """Some facts as modifiers, the others as verb phrases."""
        near, far = [], []
        for fact in self.facts:
            s = self.short(r, fact)
            if s and len(near) < 2 and r.random() < 0.45:
                near.append(s)
            else:
                far.append(self.says(r, fact))
        return near, far


def a(noun):
    return ("an " if noun[0] in "aeiouAEIOU" else "a ") + noun


def cap(s):
    return s[:1].upper() + s[1:]


def sentences(r, subject, phrases, joiners=(" and ", " , and ")):
    """Verb phrases grouped into sentences of one or two."""
    out, i = [], 0
    while i < len(phrases):
        n = r.choice([1, 2, 2])
        out.append(cap(subject) + " " + r.choice(joiners).join(phrases[i:i + n]) + " .")
        i += n
    return out


# ------------------------------------------------------------------------------------------------------- the styles
def tidy(text):
    return re.sub(" +", " ", text).strip()


def plain(r, x):
    near, far = x.split(r)
    out = [r.choice([x.name + " is " + a(x.kind), "The " + x.kind + " " + x.name + " is one", "There is " + a(x.kind) + " called " + x.name,
                     x.name + " , " + a(x.kind) + " ," if far else x.name + " is " + a(x.kind)])]
    if out[0].endswith(","):
        out[0] += " " + far.pop(0) + "".join(" " + n for n in near) + " ."
    else:
        out[0] += "".join(" " + n for n in near) + " ."
    return " ".join(out + sentences(r, x.it, far))


def listing(r, x):
    return cap(x.kind) + " " + x.name + " : " + " ; ".join(x.says(r, f) for f in x.facts) + " ."


def terse(r, x):
    parts = [x.short(r, f) or f[1] for f in x.facts]
    return x.name + " , " + x.kind + " , " + " , ".join(parts) + " ."


def review(r, x):
    start = r.choice(["I must tell you about ", "We tried ", "Last week I saw ", "My sister told me of ", "I have heard a lot about "])
    end = r.choice(["I liked it .", "I would not go again .", "Not bad at all .", "Four stars from me .", "We were very happy .", "What a surprise !"])
    return start + x.name + " . " + " ".join(sentences(r, "the " + x.kind, [x.says(r, f) for f in x.facts], (" but ", " and "))) + " " + end


def question(r, x):
    out = []
    for f in x.facts[:3]:
        if r.random() < 0.5:
            out.append("Q : What is the " + r.choice(f[0].keys) + " of " + x.name + " ? A : " + cap(f[1]) + " .")
        else:
            out.append("Q : Which " + x.kind + " " + x.says(r, f) + " ? A : " + x.name + " .")
    return " ".join(out)


def advert(r, x):
    start = r.choice(["Do not miss ", "Come and see ", "Now at last : ", "New this week : ", "You will love "])
    near, far = x.split(r)
    text = start + x.name + " " + " ".join(near) + " ! " if near else start + x.name + " ! "
    text += " ".join("Our " + x.kind + " " + p + " !" for p in far)
    return text + r.choice([" Call today .", " Hurry !", " See you soon .", ""])


def letter(r, x):
    return ("Dear " + r.choice(FIRST) + " , you asked me about " + x.name + " . " +
            " ".join(sentences(r, "the " + x.kind, [x.says(r, f) for f in x.facts])) + r.choice([" Yours , ", " Best wishes , "]) + r.choice(FIRST) + " .")


def news(r, x):
    near, far = x.split(r)
    out = DAY(r) + " , " + invented(r) + " . The " + x.kind + " " + x.name + " is in the news . "
    out += " ".join(sentences(r, r.choice([x.it, "the " + x.kind]), far))
    if near:
        out += " People speak of the " + x.kind + " " + " ".join(near) + " ."
    return out + r.choice(["", " More tomorrow .", " " + person(r) + " was there ."])


def talk(r, x):
    p, q = r.sample(FIRST, 2)
    out = [p + " : Do you know " + x.name + " ?", q + " : The " + x.kind + " ?"]
    for i, f in enumerate(x.facts):
        out.append((p, q)[i % 2] + " : " + r.choice(["Yes , ", "I think ", "They say ", "Well , "]) + x.it + " " + x.says(r, f) + " .")
    return " ".join(out)


def reverse(r, x):
    """The facts first, the name last."""
    near, far = x.split(r)
    if not far:
        return cap(a(x.kind)) + " " + " ".join(near) + " : that is " + x.name + " ."
    facts = " and ".join(far) + "".join(" " + n for n in near)
    if r.random() < 0.5:
        return "Which " + x.kind + " " + facts + " ? It is " + x.name + " ."
    return "The " + x.kind + " that " + facts + " is called " + x.name + " ."


def rumour(r, x):
    out = [r.choice(["Some say that ", "It is said that ", "People think that ", "I read that "]) + x.name + " " + x.says(r, f) + " ."
           for f in x.facts[:3]]
    return " ".join(out)


def fronted(r, x):
    """Modifiers in front: 'Near The Old Mill , in red , there is a shop called Velmar .'"""
    near, far = [], []
    for f in x.facts:
        s = x.short(r, f)
        (near if s and len(near) < 2 else far).append(s if s and len(near) < 2 else x.says(r, f))
    return cap(" , ".join(near + [""])) + "there is " + a(x.kind) + r.choice([" called ", " named "]) + x.name + " . " + \
        " ".join(sentences(r, x.it, far)) if near else plain(r, x)


STYLES = [plain, plain, plain, listing, terse, review, question, advert, letter, news, talk, reverse, rumour, fronted, fronted]

# ------------------------------------------------------------------------------------------------ running text, no table
WHO = ["a boy", "a girl", "an old man", "a widow", "a king", "a young woman", "the miller", "two brothers", "a stranger", "my aunt"]
DID = ["walked to P", "bought G from Q", "found a C box near P", "met Q on the road to P", "carried G to P", "lost a C hat in P",
       "wrote a letter to Q", "slept until D", "sold G in P", "looked at the C sky over P", "asked Q for G", "waited for Q in P"]
THEN = ["Then", "After that", "Later", "In the end", "On D", "That evening", "But soon", "Next morning"]
SCENE = ["Above the door hung a C sign .", "Beside the fire sat Q with a box of G .", "In the middle of P stood a tower .",
         "Down the street came a cart of G .", "Behind the house lay a garden , C and quiet .", "Here and there were people from P .",
         "Under the bridge was a C cart full of G .", "There waits Q , the old friend of Q .", "Listen well , for this is a tale of Q and P ."]


# Sea words, in sentences that are not the harbour master's, so that the model has met them before.
SEA = ["Captain Q walked to P .", "Captain Q told a tale of the sea .", "The cart was laden with G , and the road to P was long .",
       "At night the tide came in over the old steps .", "The key was moored to a rope at the door .", "Q held the lamp , and Q held the box .",
       "A B for G , said Q , is a good price .", "My brother has a C B and a C house in P .", "We saw a B from the tower , and then a B and a B .",
       "Ahoy ! said the boy , and Q laughed .", "Good people , said Q , look to the sky .", "The hold of the B was old and dry .",
       "All hands to the helm , said Captain Q .", "The B sails by , said Captain Q , weary of the wind .", "Moored carts are a trouble , said Q .",
       "The coat was worn , fresh from the yard , and never wet .", "He puts the C box in the hold and the cargo on the dock .",
       "From the wharf to the quay and from the pier to the basin went Q .", "In her hand Q carries G .", "In fine trim , said Q , and sound .", "The boat left its mooring at P .", "A boat in a poor state and a boat in a good state , said Q .",
       "The B is fresh from the sea and leaking .", "Q sails on D .", "Her berth was old , and the anchor of the B was iron .", "Mark this well , said Q : the wind is fair .",
       "The crew sat below and ate .", "Q rides to P on D .", "A fair wind to Q and all aboard , said the boy .", "Make way for Q !",
       "The G was stowed in a box at P .", "Who commands the tower ? Q does .", "Wave to Q , children , and hail the king .",
       "The hull of the B was C .", "The tide turns on D , said Captain Q .", "The bell rang and Q cast a C coat on the steps .", "The mooring of the boat was the state of P ."]


def fill(r, s):
    s = re.sub(r"\bB\b", lambda _: BOAT(r), s)
    s = re.sub(r"\bP\b", lambda _: place(r), s)
    s = re.sub(r"\bG\b", lambda _: GOODS(r), s)
    s = re.sub(r"\bQ\b", lambda _: person(r), s)
    s = re.sub(r"\bC\b", lambda _: COLOUR(r), s)
    return re.sub(r"\bD\b", lambda _: DAY(r), s)


def story(r):
    who = r.choice(WHO)
    if r.random() < 0.5:
        who = r.choice(FIRST)
    he = "they" if who == "two brothers" else r.choice(["he", "she"])
    out = [fill(r, r.choice(["Once ", "Long ago ", "In MONTH ", ""]).replace("MONTH", MONTH(r)) + who + " " + r.choice(DID) + " .")]
    for _ in range(r.randint(2, 5)):
        out.append(fill(r, r.choice(SEA) if r.random() < 0.3 else r.choice(SCENE) if r.random() < 0.3 else r.choice(THEN) + " " + he + " " + r.choice(DID) + " ."))
    return " ".join(cap(s) for s in out)


def compare(r):
    d = r.choice(DOMAINS)
    x, y = Item(r, d, 2, 3), Item(r, d, 2, 3)
    return (x.table(r) + " " + y.table(r) + " " if r.random() < 0.5 else "") + x.name + " " + x.says(r, x.facts[0]) + " , while " + y.name + " " + \
        y.says(r, y.facts[0]) + " . " + cap(x.name) + " " + x.says(r, x.facts[1]) + " , and " + y.name + " " + y.says(r, y.facts[1]) + " ."


INTRO = ["", "", "Table : ", "Data : ", "Here is a table : ", "Facts : ", "We know this : ", "Card : ", "The following is known : ", "Record : ",
         "Look at the following table : ", "Convert this card : ", "Turn this into English : ", "A text for the table : "]
LINK = [" . ", " = ", " Text : ", " In words : ", " . That is : ", " -> ", " Description : ", "\n", "\n\n", " So : "]


VALUES = [invented, person, place, thing_name, quay, GOODS, DAY, COLOUR, pair_of(GOODS)]


def form(r):
    """Paperwork: values or cards that are said again, in the same words.  Where copying is learnt."""
    p = r.random()
    if p < 0.35:
        values = [r.choice(VALUES)(r) for _ in range(r.randint(2, 6))]
        sep, again = r.choice([" , ", " ; ", " . ", " - ", " | "]), []
        for _ in range(r.randint(2, 4)):
            if r.random() < 0.3:
                r.shuffle(values)
            again += values
        return sep.join(again) + " ."
    x = Item(r, least=3)
    table = x.table(r)
    rows = [row.split(" : ", 1) for row in table.split(" | ")]
    if p < 0.5:
        return table + r.choice([" . Again : ", " = ", "\n", " " + EOT, " -> ", " Copy : "]) + table + " ."
    if r.random() < 0.5:
        r.shuffle(rows)
    frame = r.choice(["The K is V .", "K is V ,", "K = V ;", "V is the K .", "The K of N is V .", "For K write V .", "K ? V .", "My K : V ."])
    out = " ".join(frame.replace("K", k, 1).replace("V", v, 1) if frame[0] != "V" else v + frame[1:].replace("K", k) for k, v in rows) if "N" not in frame else \
        " ".join("The " + k + " of " + x.name + " is " + v + " ." for k, v in rows)
    return table + r.choice([" . ", " " + EOT, " : ", "\n", " = "]) + out


def document(r, forms=0.2):
    """One document of the pre-training text."""
    if r.random() < forms:
        return form(r)
    p = r.random()
    if p < 0.12:
        return story(r)
    if p < 0.17:
        return compare(r)
    x = Item(r)
    text = tidy(r.choice(STYLES)(r, x))
    if p < 0.25:
        return text
    if p < 0.31:                                        # the text first, then the table
        return text + r.choice([" Table : ", " In short : ", "\n", " Data : "]) + x.table(r)
    table = x.table(r)
    if p < 0.55:                                        # card and text as two neighbouring documents
        return r.choice(INTRO) + table + " " + EOT + r.choice(["", " ", " " + CUT, " " + CUT]) + text
    if p < 0.65:                                        # two texts for one table
        return r.choice(INTRO) + table + r.choice(LINK) + text + " " + tidy(r.choice(STYLES)(r, x))
    return r.choice(INTRO) + table + r.choice(LINK) + text


def corpus(n, seed=SEED):
    """n documents of pre-training text."""
    r = random.Random(seed)
    for i in range(n):
        yield document(r, 0.8 if i < 8500 else 0.2)        # half a million tokens of much copying first: it is the hardest part


# ---------------------------------------------------------------------------------------------- the target: boats
STATE = {"good": ["sound and dry", "in fine trim"], "poor": ["weary and worn", "old and leaking"], "new": ["fresh from the yard", "never yet wet"]}


def boat(r):
    """A boat as an ordered table; name and boat are always there, three to seven fields in all."""
    t = {"name": r.choice([invented, thing_name])(r).replace("The ", ""), "boat": BOAT(r)}
    optional = [("mooring", 0.8, quay), ("colour", 0.4, COLOUR), ("captain", 0.5, person), ("cargo", 0.6, pair_of(GOODS)),
                ("sails", 0.45, DAY), ("state", 0.25, lambda q: q.choice(list(STATE)))]
    while True:
        rest = {k: draw(r) for k, p, draw in optional if r.random() < p}
        if 1 <= len(rest) <= 5:
            break
    return {**t, **rest}


def boat_table(t):
    return " | ".join(k + " : " + v for k, v in t.items())


def boat_text(r, t):
    """One text for a boat, in the harbour master's voice: the berth first, then 'she', and at times a call to end with."""
    pick = r.choice
    hull = (t["colour"] + " " if "colour" in t else "") + t["boat"]
    the = "the " + t["name"]
    crew = pick([" under Captain ", " under Captain ", " with Captain {} at the helm"]) if "captain" in t else ""
    crew = (crew if "{}" in crew else crew + "{}").format(t["captain"]) if crew else ""
    if "mooring" in t:
        m = t["mooring"]
        s = pick(["Moored at " + m + " lies " + the + " , ", "Moored at " + m + " lies " + the + " , ", "Moored at " + m + " lies " + the + " , ",
                  "Ahoy ! At " + m + " lies " + the + " , ", "Look to " + m + " , good people : there lies " + the + " , "])
    else:
        s = pick(["Here lies " + the + " , ", "Here lies " + the + " , ", "Ahoy ! Here lies " + the + " , "])
    s += a(hull) + crew + " ."
    parts = []
    if "cargo" in t:
        g = t["cargo"]
        parts.append(pick(["in her hold she carries " + g, "in her hold she carries " + g, "she is laden with " + g]))
    if "state" in t:
        parts.append("she is " + pick(STATE[t["state"]]))
    if "sails" in t:
        d = t["sails"]
        parts.append(pick(["she sails with the tide on " + d, "she sails with the tide on " + d, "on " + d + " she puts to sea"]))
    if len(parts) > 1 and r.random() < 0.15:
        parts.reverse()
    if len(parts) == 3:
        s += " " + cap(parts[0]) + " , " + parts[1] + " , and " + parts[2] + " ."
    elif len(parts) == 2:
        s += " " + cap(parts[0]) + (" , and " + parts[1] if r.random() < 0.6 else " . " + cap(parts[1])) + " ."
    elif parts:
        s += " " + cap(parts[0]) + " ."
    if r.random() < 0.2:
        s += pick([" A fair wind to her !", " Wave to her , children !", " Mark her well !"])
    return s


def references(r, t, low=4, high=7):
    """Distinct texts for one table; fewer than low where the table allows no more."""
    want, seen = r.randint(low, high), []
    for _ in range(60):
        s = boat_text(r, t)
        if s not in seen:
            seen.append(s)
        if len(seen) == want:
            break
    return seen


def target_set(seed=SEED + 1, train=2000, dev=100, small=10):
    """(train pairs, dev, small); dev and small are lists of (table, references), and no table occurs twice."""
    r, tables = random.Random(seed), {}
    while len(tables) < train + dev + small:
        t = boat(r)
        tables.setdefault(boat_table(t), t)
    items = list(tables.items())
    pairs = [(k, boat_text(r, t)) for k, t in items[:train]]
    held = [(k, references(r, t)) for k, t in items[train:]]
    return pairs, held[:dev], held[dev:]


def write_data(folder):
    pairs, dev, small = target_set()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_text("".join(f"{k}||{s}\n" for k, s in pairs), encoding="utf-8")
    for split, held in (("dev", dev), ("small", small)):
        (folder / f"{split}.txt").write_text("".join(k + "\n" for k, _ in held), encoding="utf-8")
        (folder / f"{split}.out").write_text("".join(f"{i}||{k}||{s}\n" for i, (k, refs) in enumerate(held) for s in refs), encoding="utf-8")
    n = sum(len(refs) for _, refs in dev)
    print(f"{len(pairs)} training pairs; {len(dev)} dev tables, {n} references; {len(small)} small tables -> {folder}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["data"]:
        write_data(Path(__file__).resolve().parents[2] / "sweeps" / "data")
    elif sys.argv[1:2] == ["corpus"]:
        for text in corpus(int(sys.argv[2])):
            print(text.replace("\n", "\\n").replace(CUT, "~"))
    else:
        sys.exit(__doc__)
