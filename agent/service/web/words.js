// Every word of the page, in English and Chinese.
const WORDS = {
  en: {
    skip: "Skip to the message box", catalogue: "Catalogue", anew: "New chat", profile: "What I know of you", about: "About you", log: "Conversation",
    say: "Your message", placeholder: "Say what you love, or what you do not want…", send: "Send", other: "中文",
    hello: "What are you in the mood for?",
    helloText: "Name one or two things you love, say what to leave out (“no horror, under two hours”), or let me ask. Nothing is known of you yet, and you can erase all of it at any time.",
    starts: ["Ask me something", "Just show me something"],
    thinking: "Thinking…", you: "You", snowmelt: "Snowmelt",
    any: "Any is fine", unknown: "I don't know them", choose: "Choose", chosen: "I like {0}", none: "None of these", or: "or",
    like: "Like", dislike: "Not for me", seen: "Seen it", more: "More like this", why: "Why this?",
    youSaid: "You said: ", youChose: "You chose: ", noWhy: "Nothing in particular moved it; it is a fair place to begin.", whole: "The whole text",
    degraded: "The language model was not available, so this list stands on search and similarity alone.",
    offline: "You are offline. What you write stays here until the line is back.",
    failed: "That did not work: {0}", retry: "Try again", loading: "Loading…", slow: "Still working on it…",
    locked: "This service needs a personal link. Ask whoever runs it for one.", gone: "Everything about you was erased.",
    likes: "You like", dislikes: "You do not like", limits: "Limits", wishes: "Preferably", seenTitle: "Already seen",
    empty: "Nothing yet. It fills up as we talk, always with your own words beside it.",
    add: "Add something you like", addButton: "Add", remove: "Remove {0}", changed: "It changed meanwhile; here is the latest.",
    export: "Download my data", eraseAll: "Erase everything", eraseTitle: "Erase everything about you?",
    eraseText: "Profile, conversations and feedback are removed and cannot be brought back.", erase: "Erase", keep: "Keep it",
    moreLike: "More like {0}:", nothingLike: "I found nothing more like {0}.", noted: "Noted: {0}", close: "Close",
    signals: { dense: "Similar to what you like", bm25: "Shares your words", match: "Has what you asked for", prior: "What people in general choose", people: "People like you", transfer: "People like you", popularity: "What people in general choose", familiarity: "Well known", llm: "The language model", wish: "Your wishes", wishes: "Your wishes", graph: "Connected to what you like", dislikes: "Like what you do not like", after: "Rearranged for variety" },
    on: "on", off: "off", signalsTitle: "What moved “{0}”",
  },
  zh: {
    skip: "跳到输入框", catalogue: "目录", anew: "新对话", profile: "我所了解的你", about: "关于你", log: "对话",
    say: "你的消息", placeholder: "说说你喜欢什么，或者不想要什么……", send: "发送", other: "English",
    hello: "现在想来点什么？",
    helloText: "说一两个你喜欢的，或者不想要的（“不要恐怖片，两小时以内”），也可以让我来问。目前对你一无所知，你随时可以全部清除。",
    starts: ["你来问我吧", "直接推荐"],
    thinking: "正在想……", you: "你", snowmelt: "Snowmelt",
    any: "随便", unknown: "都不知道", choose: "选好了", chosen: "我喜欢{0}", none: "都不是", or: "还是",
    like: "喜欢", dislike: "不适合我", seen: "看过了", more: "类似的", why: "为什么推荐？",
    youSaid: "你说过：", youChose: "你选了：", noWhy: "没有特别的原因，只是一个不错的起点。", whole: "全文",
    degraded: "语言模型暂时不可用，这个列表只依据检索和相似度。",
    offline: "网络已断开。写下的内容会留在这里，等网络恢复。",
    failed: "没有成功：{0}", retry: "重试", loading: "加载中……", slow: "还在处理……",
    locked: "这项服务需要个人链接，请向管理者索取。", gone: "关于你的一切都已清除。",
    likes: "你喜欢", dislikes: "你不喜欢", limits: "限制", wishes: "最好", seenTitle: "已经看过",
    empty: "还没有。聊着聊着就会有，旁边总是你自己说过的话。",
    add: "添加一个喜欢的", addButton: "添加", remove: "移除{0}", changed: "内容已有变化，这是最新的。",
    export: "下载我的数据", eraseAll: "全部清除", eraseTitle: "清除关于你的一切？",
    eraseText: "资料、对话和反馈都会删除，无法恢复。", erase: "清除", keep: "保留",
    moreLike: "与{0}类似的：", nothingLike: "没有找到更多与{0}类似的。", noted: "已记下：{0}", close: "关闭",
    signals: { dense: "与你喜欢的相近", bm25: "用词相同", match: "符合你的要求", prior: "大家的选择", people: "和你相似的人", transfer: "和你相似的人", popularity: "大家的选择", familiarity: "知名度", llm: "语言模型", wish: "你的愿望", wishes: "你的愿望", graph: "与你喜欢的相关", dislikes: "接近你不喜欢的", after: "为多样性调整" },
    on: "已选", off: "未选", signalsTitle: "是什么让《{0}》排在这里",
  },
};

// What "Ask me something" says to the service: a greeting, which is answered by a question.
export const GREETING = { en: "hello", zh: "你好" };

let chosen = localStorage.getItem("snowmelt.language") || (navigator.language.startsWith("zh") ? "zh" : "en");

export const language = () => chosen;

export function setLanguage(name) {
  chosen = name;
  localStorage.setItem("snowmelt.language", name);
}

export function word(name, ...values) {
  const found = WORDS[chosen][name];
  return typeof found === "string" ? values.reduce((text, value, i) => text.replace(`{${i}}`, () => value), found) : found;
}

export function signalName(name) {
  return WORDS[chosen].signals[name] || name.replaceAll("_", " ");
}
