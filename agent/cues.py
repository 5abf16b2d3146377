"""The words that say how somebody speaks of a thing: likes, dislikes, wants, refuses, has seen, asks, tells of others.

Phrases are folded as in `tokens` (no apostrophes). English and Chinese are covered properly; German, French, Spanish,
Italian, Portuguese, Japanese and Russian by their plainest words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from snowmelt.agent.tokens import Token, key_of

# like, dislike, exclude (a request: also a hard limit), must, want, seen, neutral: what a cue makes of what follows it.
# back_*: of what stands before it in its clause. not, past, hedge, general, contrast, session, lasting, over: modifiers.
_PHRASES = {
    "like": """like|likes|liked|love|loves|loved|loving|adore|adores|adored|enjoy|enjoys|enjoyed|enjoying|fan of|fans of|big fan of|
        huge fan of|into|favourite|favourites|favorite|favorites|fave|faves|i meant|i mean|i said|fond of|crazy about|mad about|cant get enough of|
        could watch all day|obsessed with|keen on|prefer|prefers|preferred|sucker for|cant go wrong with|soft spot for|wouldnt say no to|
        would not say no to|more of a|rewatch|never get tired of|never tire of|more like|similar to|along the lines of|in the vein of|
        think|reminds me of|same as|anything like|something like|stuff like|appreciate|appreciated|cherish|treasure|
        喜欢|喜爱|爱看|超爱|最爱|热爱|钟爱|偏爱|爱|迷|着迷|痴迷|特喜欢|百看不厌|看不够|类似|像|更喜欢|尤其|欣赏|中意|种草|
        ich mag|mag|liebe|lieben|gefallt|j aime|jaime|jadore|j adore|adoro|amo|me encanta|me encantan|me gusta|me gustan|mi piace|mi piacciono|gosto de|люблю|нравится|大好き""",
    "dislike": """not big on|not keen on|not into|not a big fan of|not a fan of|not crazy about|not wild about|not fond of|not interested in|hate|hates|hated|hating|dislike|dislikes|disliked|detest|detests|loathe|despise|cant stand|cannot stand|couldnt stand|cant bear|
        sick of|tired of|fed up with|bored of|bored by|bored with|put off by|turned off by|no fan of|allergic to|scared of|afraid of|terrified of|
        had enough of|enough of|enough with|over with|no time for|no patience for|sick and tired of|couldnt finish|regret|regretted|
        讨厌|不喜欢|受不了|反感|厌恶|不爱|不爱看|不怎么喜欢|不太喜欢|不感兴趣|没兴趣|对不起来|不待见|嫌|烦|最烦|恨|不敢看|害怕|怕|看不了|
        ich hasse|hasse|je deteste|deteste|odio|detesto|ненавижу|嫌い|苦手|no me gusta|no me gustan|non mi piace|nao gosto de|ich mag keine|mag keine|mag keinen|mag kein|je naime pas""",
    "exclude": """without|except|except for|excluding|avoid|avoiding|anything but|anything except|everything but|everything except|other than|apart from|aside from|
        nothing with|keep away from|stay away from|no more|leave out|spare me|spare me the|steer clear of|rule out|skip the|please no|stop suggesting|stop recommending|stop showing|stop showing me|quit suggesting|nothing by|nothing from|nothing in|nothing about|nothing of|nothing made of|never again|dont want|
        不要|不想要|别|别推|别推荐|别给我|别给我推荐|别再|千万别|千万别推荐|不看|不想看|拒绝|除了|除|排除|避开|不许|不考虑|不买|去掉|少来|请勿|勿|不需要|不接受|再也不想|再也不看|不想再|不想看到|不想见到|不想再看|不想再看到|别再给我|别再给我看|别再推|别再推荐|
        bitte keine|bitte kein|keine|ohne|nada de|pas de|sans|senza|sin|niente|sem|без|以外""",
    "must": """only|nothing but|has to be|have to be|must be|must have|strictly|exclusively|needs to be|need to be|has got to be|solely|just|must both be|must be both|
        只要|只看|只想看|只想要|必须|必须是|一定要|一定得|一定要是|只限|仅限|只能是|只能|只买|非得|就要|就想看|只考虑|只|得是|
        nur|seulement|uniquement|solo|solamente|soltanto|только""",
    "want": """want|wants|wanted|looking for|look for|need|needs|id like|would like|wed like|id love|would love|fancy|craving|crave|give me|gimme|show me|recommend|recommend me|
        suggest|find me|got any|any|anything|something|some|how about|what about|try|lets|let us|hit me with|interested in|could go for|here for|up for|bring on|
        want to see|want to watch|wanna watch|wanna see|hoping for|after|searching for|in search of|shopping for|like to see|like to watch|would watch|put on|
        想看|想要|来点|来部|来一部|来几部|来个|来些|找|推荐|推荐点|推荐几部|给我|给我来点|有没有|想找|想买|要|求|换成|改成|换|看看|想|需要|来|搞点|整点|买|送|
        ich will|ich mochte|quiero|busco|je veux|je cherche|voglio|cerco|vorrei|quero|хочу|見たい|観たい|欲しい""",
    "seen": """seen|have seen|ive seen|already seen|watched|have watched|ive watched|already watched|ive read|already read|already know|already own|already have|already bought|
        already got|saw|know it already|own|bought|rewatched|have it already|
        看过|看完|读过|买过|已经有|有了|看了|买了|早看过|早就看过|听过|刷过|看腻|已有|gesehen|schon gesehen|deja vu|ya vi|ya he visto|gia visto|見た""",
    "neutral": """dont mind|do not mind|dont get me wrong|indifferent to|neutral about|compared to|比起|对比|different from|called|named|reminded me of|except that|thanks to|that guy from|the guy from|the girl from|the actor from|the woman from|the man from|the one from|director of|star of|
        叫|名叫|无所谓""",
    "back_like": """is great|are great|was great|were great|is amazing|was amazing|was brilliant|is brilliant|was superb|is superb|was fantastic|is fantastic|was wonderful|masterpiece|
        sounds good|looks good|sounds great|looks great|is good|was good|could be something|is lovely|make lovely things|is my thing|my thing|totally my thing|are my thing|are totally my thing|is perfect|rocks|rules|yes|
        is welcome|all the way|was a blast|hits the spot|works for me|works|love it|loved it|loved that|like it|liked it|love them|loved them|adore it|adored it|blew me away|so good|my favourite|my favorite|all i want|great stuff|my guy|is my guy|my jam|is up my street|right up my street|right up my alley|is a must|的都行|的都可以|的我都爱|loved every minute|
        好看|神作|不错|很棒|真棒|太棒了|经典|看不腻|绝了|挺好|很好|好治愈|都可以|都喜欢|我都爱|爱了|看起来不错|可以有|最好|优先|great|amazing|awesome|brilliant|superb|fantastic|wonderful""",
    "back_dislike": """isnt for me|not for me|isnt my thing|not my thing|arent my thing|not my cup of tea|isnt my cup of tea|arent my cup of tea|arent for me|bores me|bore me|bored me|bores me to tears|left me cold|leaves me cold|left me completely cold|
        leave me cold|does nothing for me|do nothing for me|did nothing for me|puts me off|put me off|turns me off|is awful|was awful|was terrible|is terrible|sucks|sucked|was boring|is boring|are boring|boring|overrated|god no|
        no thanks|no thank you|hell no|not again|puts me to sleep|put me to sleep|gives me nightmares|give me nightmares|makes me sick|i cant|rubbish|dull|awful|terrible|disappointing|
        让我犯困|犯困|看着犯困|太无聊|无聊|没意思|不行|看不下去|看腻了|腻了|难看|太闷|接受不了|太长|太长了|太贵|太贵了|太吓人|太慢|没感觉|无感|不喜欢了|不感冒|不适合我""",
    "back_exclude": """就算了|算了|免了|就免了|别来了|就别来了|别来|不用了|除外|就不要了|不要了|还是别了|千万别|都不要|一律不要|我不看|我不要|out of the question|are out|is out|off the table|is a no go|are a no go|nicht|はなし""",
    "back_must": """nothing else|nothing else will do|or nothing|别的不要|别的都不要|其他不要|其他都不要|别的不看|别的都不看|其他的不要|其他一概不要|才行|才可以|才看|only please|films only|movies only|だけ""",
    "back_neutral": """is ok|is okay|was ok|was okay|meh|so so|is fine i guess|is fine|was fine|are fine|fine i guess|nothing special|is alright|was alright|一般|还行|还可以|凑合|一般般|马马虎虎|就那样|都行""",
    "back_seen": """seen it|seen that|seen them|watched it|watched that|read it already|have that already|have that one|already have it|got it already|have it|看过了|看过|已经看过|已经买过|买过了|有了|已经有了|看了八遍""",
    "not": """not|no|never|dont|do not|doesnt|does not|didnt|did not|wasnt|isnt|is not|arent|are not|wouldnt|cant|cannot|werent|nor|neither|hardly|nobody|havent|hasnt|wont|aint|no longer|rather not|not really|
        不|没|没有|不是|从不|从来不|从没|不太|并不|不再|不会|nicht|pas|non|нет|не|não""",
    "past": "used to|formerly|once|back then|when i was|as a kid|as a child|以前|曾经|过去|小时候|从前|原来|原先",
    "general": """everyone|everybody|people|critics|the critics|most people|they say|my neighbours|reviewers|the press|the internet|the whole world|my boss|boss|my colleague|my colleagues|my roommate|my neighbour|my neighbor|老板|同事|邻居|室友|
        大家|别人|影评人|网友|人人|都说|专家|媒体""",
    "contrast": "but|though|although|however|yet|while|whereas|但|但是|不过|可是|然而|却|aber|mais|pero|ma|mas|но|でも",
    "over": "rather than|over|instead of|than|胜过|多过",
    "hedge": "preferably|ideally|if possible|rather not|would rather not|id rather not|not too|not so|not very|最好|尽量|不要太|别太|不太想|最好不要|最好别|mejor",
    "session": """today|tonight|this evening|this time|this weekend|right now|at the moment|for now|in the mood|in the mood for|feel like|feeling like|not feeling|this afternoon|this morning|now|
        今天|今晚|现在|这会儿|这次|这周末|没心情|有心情|今夜|今儿|眼下|此刻|暂时|这回|这一次|heute|heute abend|ce soir|aujourdhui|hoy|esta noche|stasera|oggi|hoje|сегодня|今日|今夜""",
    "word": """特别|别人|后来|未来|来自|重要|主要|好像|想象|只是|不管|不同|没关系|起来|看起来|出来|原来是|本来|将来|爱人|可爱|迷你|性别|别墅|要求|需求|来着|除夕|区别|买家|送货|可怕|恐怕|像素|头像|找到|想法|思想|感想|理想|梦想|没错|不久|不断|不仅|要是|只好|
        no wait|no dealbreaker|no problem|no rush|no worries|no way|no idea|no need|no hurry|no big deal|no offence|no kidding|no doubt|no matter|hope you|whats up|what s up|how are you|hows it going|看着办|一看|看不看|好不好|是不是|要不要|有没有人|不好意思|就是|可是说|不得不|不知道|不清楚|just now|not only|not just|not to mention|like that|like this|would you like|if you like|i think|do you think|try to|any way|anyway|after all|need to|have to|want to|want you to|looking forward to|
        something else|anything else|any other|some other|needs to|at least|any good|would like to|like to|just a|just the|just one|just because|every time|sometime|刚才|不只是|不只|不光|不但|不仅仅""",
    "lasting": "usually|normally|generally|in general|always|ever|never ever|all my life|平时|一般来说|通常|一直|向来|总是|从来|平常|nowadays|these days|not ever|anymore|any more|these days",
}
_REQUESTS = frozenset("in the mood|in the mood for|feel like|feeling like|有心情|没心情".split("|"))


_COUNTS = frozenset("一二两三四五六七八九十几多这那每0123456789")
_NOT_BAD = frozenset("good many much please and but so i though lol".split())


@dataclass(frozen=True, slots=True)
class Cue:
    start: int
    end: int
    kind: str
    text: str


@cache
def _table() -> dict[str, str]:
    table: dict[str, str] = {}
    for kind, phrases in _PHRASES.items():
        for phrase in phrases.replace("\n", " ").split("|"):
            key = key_of(phrase)
            if key:
                table.setdefault(key, kind) if not kind.startswith("back") else table.setdefault(key, kind)
    return table


@cache
def _longest() -> int:
    return max(len(key.split()) for key in _table())


def cues(words: Sequence[Token], gap: Sequence[bool]) -> list[Cue]:
    """Every cue, overlapping ones too. No cue reaches over punctuation."""
    found, table = [], _table()
    for i in range(len(words)):
        key = ""
        for j in range(i + 1, min(len(words), i + _longest()) + 1):
            if j - 1 > i and gap[j - 1]:
                break
            key = f"{key} {words[j - 1].text}" if key else words[j - 1].text
            if kind := table.get(key):
                if key == "只" and i and words[i - 1].text in _COUNTS:
                    continue  # a measure word: "一只猫"
                found.append(Cue(i, j, kind, key))
        found += _too(words, gap, i)
    return found


def _too(words: Sequence[Token], gap: Sequence[bool], i: int) -> list[Cue]:
    """"too creepy for me", "太吓人了": of what was named before; praise is none ("太棒了", "too good to miss")."""
    text, n = words[i].text, len(words)
    if text == "too" and i + 1 < n and not gap[i + 1] and words[i + 1].text not in _NOT_BAD:
        j = i + 2
        while j < min(n, i + 5) and not gap[j] and words[j].text in ("for", "me", "us", "my", "taste", "tastes", "me", "much"):
            j += 1
        return [Cue(i, j, "back_dislike", "too")]
    if text == "太" and i + 1 < n and words[i + 1].text not in "好棒赞爱美喜经感妙精神可有":
        for j in (i + 2, i + 3, i + 4):
            if j < n and words[j].text in "了啦":
                return [Cue(i, j + 1, "back_dislike", "太")]
            if j == n and j - i == 2:
                return [Cue(i, j, "back_dislike", "太")]
    return []


def asks_mood(cue: Cue) -> bool:
    """"in the mood for", "feel like": today's wish, and with a "not" before it today's refusal."""
    return cue.text in {key_of(r) for r in _REQUESTS}
