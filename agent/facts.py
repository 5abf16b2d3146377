"""What people tell of themselves, as facts: never a wish. "I am 60 and Catholic", "we have two dogs", "上次花了四十欧"."""

import re
from dataclasses import dataclass

from snowmelt.agent.mentions import Words
from snowmelt.agent.numerals import Line

_FACT = re.compile(
    r"(?:^|(?<=[,.;!?，。；！？、\n:]))\s*(?:(?:and|so|well|but|also|by the way|btw|hi|hello|fyi|because|since|as) )*"
    r"(?:(?:i am|im|i was|we are|were)(?! (?:looking|in the mood|into|after|a (?:big |huge |real )?fan|not in|not a|fond|keen|sick|tired|up for|craving|searching|not into|crazy|obsessed|allergic|more of|here for|fed up|bored|open|shopping|hoping|not looking|scared|afraid|done|really into|so into|very into|a sucker|feeling|not feeling|interested|not interested|all for|totally into|always up|still into|only|just after|just looking|after))"
    r"|i (?:work|live|moved|grew up|was born|come from|have a|have two|have three|have \d|got a|just|own a house|speak|weigh|go to)\b(?! (?:want|need|love|like|feel))|ive (?:got a|got two|got \d|just|watched over|been)|i paid|i (?:once )?(?:met|ran into)|my (?:film club|club|team|class|boss)\b|i (?:can|could) only (?:stay|sit)|my (?:desk|house|flat|room|name|job|wife is|husband is|partner is|son is|daughter is|dog is|cat is|kitchen is|bed is|mother is|father is|boss|shift|birthday|dad|mum|mom|train)\b"
    r"|our (?:cat|dog|house|son|daughter|flat|kitchen|baby|kids are)\b|we (?:have|live|moved|just|own|got|are a family)\b|(?:he|she) (?:is|was|works|has)\b|yesterday|last (?:time|year|night|week)|when (?:i|we) (?:was|were)|as an? (?:\w+ ){0,2}(?:woman|man|girl|boy|nurse|teacher|student|doctor|engineer|christian|muslim|jew|buddhist|vegan|vegetarian|mother|father|parent)\b|there (?:is|are|was|were)"
    r"|我是(?!想|说|不|真|要|在找|来|超|很|特)|我(?:今年|住|信|在(?!找|想)|有(?:一|两|三|个|只|条|\d)|身高|体重|刚|属|来自|老家|的(?:狗|猫|房|工作|职业|身高|体重|年龄|名字))|我家(?:有|里|住|养)?|我们家|我们(?:宿舍|集体|公司|学校|班)|今年我|我已经|我居然|我今天(?!想|要)|上次|昨天|去年我|我(?:儿子|女儿|老公|老婆|妈妈|爸爸|孩子)(?:是|今年|在|叫|刚|\d)|住(?=\w)"
    r"|ich bin|ich wohne|j ai \d|je suis|j habite|tengo \d|soy |vivo |ho \d+ anni|sono )"
)
_WISH = re.compile(r"\b(?:want|need|looking for|recommend|something|love|like|prefer|hate|dislike|for (?:him|her|them|me)|suggest|find|gift)\b|想|找|推荐|喜欢|爱|要|买|送|来部|来点|讨厌")


@dataclass(frozen=True)
class Facts:
    """Token spans [start, end) that only tell a fact."""

    spans: tuple[tuple[int, int], ...]

    def covers(self, token: int) -> bool:
        return any(start <= token < end for start, end in self.spans)


def told(w: Words, line: Line) -> Facts:
    """Facts in the message: from the words that open one to the end of the sentence, or to a wish in a later clause."""
    spans = []
    for match in _FACT.finditer(line.text):
        end = match.end()
        stop = len(line.text)
        for mark in re.finditer(r"[.;!?。；！？\n,，、:]|\bbut\b|但|不过", line.text[end:]):
            rest = line.text[end + mark.start() :]
            clause = re.split(r"[.;!?。；！？\n,，]", rest[1:])[0]
            if mark[0] not in ",，、:" or _WISH.search(clause):
                stop = end + mark.start()
                break
        if _WISH.search(line.text[match.end() : stop]) and re.search(r"\b(?:love|like|prefer|hate|want|need|looking)\b|喜欢|爱看|想|找|讨厌", line.text[match.end() : stop]):
            continue
        spans.append(line.tokens(match.start(), stop))
    return Facts(tuple(spans))
