"""The page in headless Chromium against the real service. Skipped where there is no Chromium or no Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service import Running, running
from snowmelt.agent.service.store import Put, Store
from snowmelt.agent.types import Conversation
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium on this machine (apt-get install chromium)")
AXE = Path(__file__).parent / "data" / "axe.min.js"
SHOW = {"en": "Just show me something", "zh": "直接推荐"}

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def service(films: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("page")
    nasty = folder / "nasty"
    # markup that survives cleaning: in ids, in entities, and in attribute values
    items = [
        Item(f'<i id="x{n}">', f"&lt;img src=x onerror=alert({n})&gt; {n}", "<b>bold</b> javascript:alert(1) " * 9,
             {"tags": ("<svg onload=alert(1)>", "plain"), "year": 1990.0 + n})
        for n in range(6)
    ]  # fmt: skip
    build(items, nasty, open_embedder())
    with running([f"films={films.folder.parent}", f"nasty={nasty}"], folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        sandbox = [] if os.getuid() else ["--no-sandbox"]  # Chromium's own sandbox does not work for root
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, service: Running) -> Iterator[Open]:
    """Opens the page in a context of its own. At the end: no error, no dialog, no request to another host."""
    wrong: list[str] = []
    contexts: list[Any] = []

    def open_(url: str = "", allow: str = "\0", **settings: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1200, "height": 800}, "locale": "en-GB"} | settings))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and allow not in m.text else None)
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: None if r.url.startswith((service.url, "blob:")) else wrong.append(r.url))
        page.goto(service.url + url)
        page.wait_for_selector(".welcome, .turn, .retry")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong


def say(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.keyboard.press("Enter")
    settled(page)


def settled(page: Any) -> None:
    page.wait_for_timeout(100)
    page.wait_for_selector("body:not(.busy)")


def serious(page: Any) -> list[str]:
    """What axe finds that is serious or worse, as "rule: element"."""
    # through the debugger's own world: the page's policy allows no foreign script
    found = page.evaluate(AXE.read_text("utf-8") + "; axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 10  # it did look
    return [
        f"{v['id']}: {node['html'][:100]}"
        for v in found["violations"] if v["impact"] in ("serious", "critical") for node in v["nodes"]
    ]  # fmt: skip


def test_from_the_first_word_to_a_list_feedback_reload_and_erasure(opened: Open) -> None:
    page = opened()
    say(page, "I loved Spirited Away, but no horror please")
    page.wait_for_selector(".answers button, .choices button")
    assert page.locator("#profile").get_by_text("Spirited Away", exact=True).count() == 1
    assert len(page.locator(".turn.assistant .body").last.inner_text()) > 20  # the question, not its mark alone
    turns = page.locator(".turn.user").count()
    if page.locator(".tick").count():  # items to tick; else a quick answer, or one of two
        page.locator(".tick").first.click()
        page.get_by_role("button", name="Choose").click()
    else:
        page.locator(".answers button, .choices .side").first.click()
    settled(page)
    assert page.locator(".turn.user").count() == turns + 1
    say(page, "just show me")
    page.wait_for_selector(".card .reasons li")
    assert page.locator(".cards").last.locator(".card").count() == 5
    assert page.locator(".card .said mark").count() and page.locator(".card .facts mark, .card .text mark").count()
    page.locator(".card summary").first.click()
    widths = [b.bounding_box()["width"] for b in page.locator(".card").first.locator(".bar").all()]
    assert widths and max(widths) > 20
    title = page.locator(".card h3").nth(1).evaluate("e => e.firstChild.textContent")
    page.locator(".card").nth(1).get_by_role("button", name="Not for me").click()
    page.wait_for_selector(".card:nth-child(2) .dislike[aria-pressed=true]")
    assert page.locator("#profile").get_by_text(title, exact=True).count() == 1
    turns = page.locator(".turn.user").count()
    page.reload()  # the turns come back, and the last list
    page.wait_for_selector(".card .reasons li")
    assert page.locator(".turn.user").count() == turns and page.locator(".card").count() == 5
    page.get_by_role("button", name=f"Remove {title}").click()
    page.wait_for_selector(f"#profile >> text={title}", state="detached")
    with page.expect_download() as download:
        page.locator("#export").click()
    assert "Spirited Away" in Path(download.value.path()).read_text("utf-8")
    page.locator("#erase-all").click()
    page.get_by_role("button", name="Erase", exact=True).click()
    page.wait_for_selector(".welcome")
    page.wait_for_selector("#profile .empty")
    page.reload()
    page.wait_for_selector(".welcome")
    assert page.locator("#profile .empty").count() == 1


def test_keyboard_alone(opened: Open) -> None:
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("I love Ratatouille. Just show me")
    page.keyboard.press("Enter")
    settled(page)
    page.wait_for_selector(".card")
    for _ in range(60):  # backwards from the box to the last card's buttons
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.classList.contains('like')"):
            break
    page.keyboard.press("Space")
    page.wait_for_selector(".like[aria-pressed=true]")


def test_more_like_this_and_editing_the_profile(opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="Just show me something").click()
    settled(page)
    page.wait_for_selector(".card")
    first = page.locator(".card").first
    first.get_by_role("button", name="More like this").click()
    page.wait_for_selector(".cards >> nth=1")
    assert page.locator(".cards").nth(1).locator(".card").count() == 5
    page.fill("#add", "trains at night")
    page.keyboard.press("Enter")
    page.wait_for_selector("#profile >> text=trains at night")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "language"), [(1200, "en"), (390, "en"), (390, "zh")])
def test_axe_finds_nothing_serious_and_nothing_sticks_out(opened: Open, scheme: str, width: int, language: str) -> None:
    locale = {"en": "en-GB", "zh": "zh-CN"}[language]
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme, locale=locale)
    assert serious(page) == []
    say(page, {"en": "I love Spirited Away, no horror", "zh": "我喜欢千与千寻，不要恐怖片"}[language])
    say(page, SHOW[language])
    page.wait_for_selector(".card")
    page.locator(".card summary").first.click()
    assert serious(page) == []
    if width < 500:
        page.locator("#about").click()
        assert page.locator("#profile h2").is_visible() and serious(page) == []
    page.locator("#erase-all").click()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('#log').scrollWidth <= document.querySelector('#log').clientWidth")


def test_markup_is_shown_and_never_run(opened: Open) -> None:
    page = opened()
    page.select_option("#catalogue", "nasty")
    page.wait_for_selector(".welcome")
    text = "<img src=x onerror=alert(1)><script>alert(2)</script> I love plain things"
    say(page, text)
    assert page.locator(".turn.user .body").first.text_content() == text
    say(page, "just show me")
    page.wait_for_selector(".card")
    assert page.locator(".card").count() >= 1 and page.locator("main img, main script, main svg, main b").count() == 0
    page.locator(".card .like").first.click()
    page.wait_for_selector(".like[aria-pressed=true]")


def test_two_people_at_once_see_their_own(opened: Open) -> None:
    anna, bob = opened(), opened(locale="zh-CN")
    anna.fill("#text", "I love Ratatouille")
    bob.fill("#text", "我喜欢千与千寻")
    anna.keyboard.press("Enter")
    bob.keyboard.press("Enter")
    settled(anna)
    settled(bob)
    assert (
        "Ratatouille" in anna.locator("#profile").inner_text()
        and "Spirited" not in anna.locator("#profile").inner_text()
    )
    assert (
        "Spirited Away" in bob.locator("#profile").inner_text()
        and "Ratatouille" not in bob.locator("#profile").inner_text()
    )
    assert bob.evaluate("document.documentElement.lang") == "zh-Hans"


def test_one_of_two_is_chosen_by_its_card(opened: Open, service: Running) -> None:
    """The question is put into the person's conversation as the service stores it; the rest is the service's own."""
    store = Store.open(str(service.log.parent / "people.db"))
    person, token = store.create_person("local")
    question = {
        "kind": "versus", "about": "versus", "text": "Which would you rather see, Alien or Ratatouille?",
        "options": [{"text": "Alien", "item_id": "alien-1979"}, {"text": "Ratatouille", "item_id": "ratatouille-2007"}],
    }  # fmt: skip
    turns = [{"role": "user", "text": "hello"}, {"role": "assistant", "text": question["text"]}]
    talk = Conversation.model_validate({"turns": turns, "question": question}).model_dump(mode="json")
    options = [{**option, "attribute": None} for option in question["options"]]
    last = {"text": question["text"], "question": question | {"options": options}, "recommendations": []}
    value = {"catalogue": "films", "conversation": talk, "last": last | {"degraded": False}}
    store.put(person.id, Put("conversation", "a" * 32, value))
    store.close()
    page = opened(f"/#token={token}")
    page.evaluate("id => localStorage.setItem('snowmelt.conversation.films', id)", "a" * 32)
    page.reload()
    page.wait_for_selector(".versus .side .facts:not(:empty) >> nth=1")
    assert page.locator(".versus .side").count() == 2 and "Brad Bird" in page.locator(".versus").inner_text()
    assert serious(page) == []
    if shots := os.environ.get("SNOWMELT_SHOTS"):
        page.screenshot(path=f"{shots}/versus.png")
    page.locator(".versus .side").nth(1).focus()
    page.keyboard.press("Enter")
    settled(page)
    page.wait_for_selector("#profile >> text=Ratatouille")
    assert page.locator(".versus").count() == 0 and page.locator(".turn.user").count() == 2


@pytest.mark.gguf
def test_the_page_with_the_real_model(browser: Any, films: Catalogue, tmp_path: Path) -> None:
    with running([f"films={films.folder.parent}"], tmp_path, model="local", deadline=20.0) as service:
        page = browser.new_page(locale="en-GB")
        page.set_default_timeout(60_000)
        page.goto(service.url)
        page.wait_for_selector(".welcome")
        say(page, "I loved Spirited Away, but no horror please")
        say(page, "just show me")
        page.wait_for_selector(".card .reasons li")
        assert page.locator(".cards").last.locator(".card").count() == 5
        page.locator(".cards").last.locator(".card").first.get_by_role("button", name="Not for me").click()
        page.wait_for_selector(".dislike[aria-pressed=true]")
        page.locator("#erase-all").click()
        page.get_by_role("button", name="Erase", exact=True).click()
        page.wait_for_selector("#profile .empty")
        with service.client() as client:
            assert 'snowmelt_model_calls_total{outcome="ok"}' in client.get("/v1/metrics").text
        page.close()


def test_offline_keeps_what_was_written_and_trying_again_says_it_once(opened: Open) -> None:
    page = opened(allow="ERR_INTERNET_DISCONNECTED")
    say(page, "I love Ratatouille")
    turns = page.locator(".turn.user").count()
    page.context.set_offline(True)
    page.wait_for_selector("#banner:not([hidden])")
    say(page, "just show me")
    page.wait_for_selector(".retry")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(".card")
    assert page.locator(".turn.user").count() == turns + 1


def test_a_slow_line(opened: Open) -> None:
    """Chrome's "slow 3G": 400 kbit/s, 400 ms each way."""
    page = opened()
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    session.send("Network.emulateNetworkConditions", slow)
    page.fill("#text", "I love Ratatouille. Just show me")
    page.keyboard.press("Enter")
    page.wait_for_selector(".wait")  # something happens at once
    page.wait_for_selector(".card")
    page.reload()
    page.wait_for_selector(".card")


def test_a_link_with_a_token_is_taken_out_of_the_address(opened: Open, service: Running) -> None:
    with service.client() as client:
        token = client.post("/v1/people").json()["token"]
    page = opened(f"/#token={token}")
    assert token not in page.url and page.evaluate("localStorage.getItem('snowmelt.token')") == token
