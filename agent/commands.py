"""What a message asks of the assistant itself: another list, why, what is known, start over, skip."""

import re

from snowmelt.agent.types import Command

# on the folded line of `numerals.line_of`: no apostrophes, Chinese unspaced
_OVER = r"start(?:ing)? (?:all )?over|start again|start from (?:scratch|zero|the beginning)|forget everything|reset(?: everything| it| all)?$|begin again|clean slate|wipe (?:everything|it all|my profile|the slate)|clear (?:everything|my profile|all)|delete (?:everything|my profile|all)|重新开始|从头(?:再)?来|重来|重置|清空|全部忘掉|全忘了|忘掉(?:一切|所有|全部)(?!限)|推倒重来|von vorne|recommencer|empezar de nuevo|ricominci"
_ABOUT = r"(?:what|tell me what|show me what|list what|everything)(?: \w+){0,3} (?:you )?(?:know|knows|stored|store|remember|learned|learnt|saved|noted|think i like|have on me|got on me)|know about me|(?:stored|saved|remember(?:ed)?|know|learnt|learned|noted)(?: so far)? (?:about|on) (?:me|my)|stored on my|(?:show|see) (?:me )?my (?:profile|taste|preferences|data)|my profile|what(?: do| am| are)? (?:i|you) (?:like|think i like)\b|who am i|(?:知道|了解|记住|记得|记下|存)(?:了)?(?:关于)?我(?:的)?(?:些)?(?:什么|哪些|多少|喜好|口味)?|关于我|我的(?:口味|偏好|喜好)?(?:档案|资料|画像|记录)|(?:看看|显示|查看)我的(?:口味|偏好|喜好|档案)|你(?:都)?(?:知道|了解|记得|记住|记)(?:了)?我?(?:些)?(?:什么|啥|哪些)|was weisst du (?:uber|von) mich|que sais tu de moi|que sabes de mi|cosa sai di me"
_WHY = r"^(?:but |and |ok |so )*(?:why\b(?! not)|how come|what makes you|for what reason|what(?:s| is) the reason|explain)|\b(?:reasons? (?:for|behind)|why (?:this|these|that|the|did|do|are|is|on earth))|为什么|为啥|为何|凭什么|(?:推荐)?(?:的)?理由|什么原因|怎么(?:会)?推荐|干嘛推荐|warum|pourquoi|por que(?: |$)|perche\b|なぜ|どうして"
_MORE = r"^(?:ok |yes |and |some |show me |give me |any |next |please |seen all of these|i want )*(?:more|others?|another (?:one|five|few|batch|list|set|lot)?|another|next(?: (?:batch|one|ones|page|five|please|lot|list))?|something (?:else|different|new)|different ones|what else|anything else|other (?:ones|options|suggestions|ideas|results)|new (?:ones|list|batch|suggestions))(?: please| thanks| then| like these| of these| of them| options?| ideas| suggestions| results| recommendations| films| movies| ones| have you got| do you have| is there| you got| you have| for me| to choose from| 换几部| 吗)*\??$|(?:next|another) (?:batch|five|page|lot|set)|换一?(?:批|组|拨|些|几部|几个|几款|波)|再来(?:一?(?:批|些|几部|几个|点|几款|组|波)|\d(?:部|个|款))|再(?:推荐|给我)(?:一?些|几部|几个|几款|点)|还有(?:没有)?(?:别的|其他|其它|更多|more|另外)(?:的)?(?:款|片子|电影|推荐|选择)?(?:吗|么|没|呢)?|^(?:还有(?:吗|么|没有)|下一(?:批|组|页|个|部)|更多|继续|别的呢|其他的呢)[?？。]?$|encore d ?autres|d ?autres|\bmehr\b$|noch mehr|otras?\b|mas\b$|altri$|^altro"
_SHOW = r"\b(?:just|now|simply|go ahead and|straight) (?:show|recommend|suggest|give|tell|pick)\b|^(?:ok |okay |now |so |please |and |well |then |alright |直接 ?)*(?:show me|recommend|go ahead|surprise me|hit me|suggest)(?: something| anything| some(?: films| movies| things)?| a list| the list| what you(?:ve| have) got| already| now| please| me| then| your picks| (?:a )?films?| (?:a )?movies?|吧)*\W*$|surprise me|stop asking|enough questions|no more questions|quit asking|what (?:should|shall|can|could|do) (?:i|we) (?:watch|see|buy|get|read|play|try)(?: tonight| today| now| next| this evening| this weekend)*|(?:recommend|suggest|show) (?:me )?(?:something|anything)(?: good| nice| already| to watch| to buy| please| now| then)*\W*$|pick (?:something|one|anything)(?: for me)?|show me (?:something|anything|a list|the list|what)|show me吧|随便(?:推荐|来|给|挑|选)|直接(?:推荐|给|来|show|上|列)|别问|不要(?:再)?问|别再问|看(?:点|些)?什么(?:好|呢|比较好)|推荐(?:一下|几部|几个|几款|点什么|什么)?(?:吧|呗|就行|就好|一下)$|给(?:我)?(?:个)?惊喜|有什么(?:推荐|好看)|买(?:点|些)?什么好|zeig mir (?:einfach )?(?:etwas|was)|uberrasch|surprends|sorprendeme|montre"
_SKIP = r"(?:no (?:answer|idea|preference|opinion|clue)|skip(?: it| this| that| this one| that one)?(?: please)?|pass|next question|dunno|dont know|i dont know|idk|not sure|im not sure|no idea|dont care|i dont care|doesnt matter|dont mind|i dont mind|whatever|any(?:thing)?(?: is| s)?(?: fine| ok| okay| goes| works| good)?|no preference|either(?: one| is fine)?|all (?:fine|the same|good)|up to you|you choose|you decide|none of (?:these|them|the above)|neither|i d rather not say|id rather not say|rather not say|cant say|hard to say|keine ahnung|egal|weiss nicht|peu importe|je sais pas|je ne sais pas|no se|da igual|boh|non so|随便|都行|都可以|都好|无所谓|不知道|不清楚|没想法|没想好|说不好|说不清|不好说|跳过|跳過|过|略过|下一题|下一个问题|都不是|你定(?:吧)?|你决定(?:吧)?|不想说|不确定|没有偏好|没偏好|没什么偏好|どれでも|わからない)"
_UNDO = r"^(?:undo|take that back|revert|scratch that|撤销|撤回|收回)(?: that| it| please| the last one)?\W*$"
_FILLER = r"(?:please|thanks|thank you|ok|okay|well|hm+|um+|oh|so|honestly|really|just|then|lol|sorry|for me|to me|吧|啊|呀|哈|呢|了|嗯|哦|好|的|，|,|\.|。|!|！|…|\?|？| )*"

_SKIP_ONLY = re.compile(rf"{_FILLER}{_SKIP}{_FILLER}(?:{_SKIP}{_FILLER})?")
_RULES = re.compile(
    r"(?:ignore|disregard|forget|override)(?: all| any| the| your| previous| prior| earlier| above| my)* (?:instructions?|rules?|prompts?|guidelines)|"
    r"system prompt|^\W*system\b|every user|api keys?|your (?:instructions|prompt|rules|password|code)\b|jailbreak|developer mode|as if you were|pretend (?:to be|you)|act as (?:a|an)\b|you are now (?:a|an)\b|"
    r"(?:忽略|无视|忘记|忘掉|ignore)[^,，。]{0,12}(?:指令|规则|提示|设定|要求)|系统提示|提示词|密码|密钥|扮演|你现在是|drop table|<script|execute|运行代码"
)
_IRONY = re.compile(r"🙄|\byeah(?:,)? (?:sure|right)\b|\boh,? (?:great|joy|brilliant|wonderful|fantastic)\b|just what i needed|\bas if\b|真是太有创意|呵呵|可真(?:行|棒)|谢谢你全家|/s\b|(?:exactly|just) what the world needs|\bhow original\b|so original")  # fmt: skip


def command_of(line: str) -> Command | None:
    """The command in a folded line, content or not (`more` and `skip` only if there is nothing else in it)."""
    if _SKIP_ONLY.fullmatch(line.strip()) and re.search(_SKIP, line):
        return "skip"
    if re.search(_UNDO, line):
        return "undo"
    for pattern, command in ((_OVER, "start_over"), (_ABOUT, "about_me"), (_WHY, "why"), (_MORE, "more"), (_SHOW, "show")):
        if re.search(pattern, line):
            return command  # type: ignore[return-value]
    return None


def tampering(line: str) -> bool:
    """Does the line try to change the assistant's rules, or ask for what it was told?"""
    return bool(_RULES.search(line))


def ironic(message: str) -> bool:
    """The plainest marks of irony, on the message as it was typed; it is then left alone."""
    return bool(_IRONY.search(message.casefold().replace("’", "'").replace("'", "")))
