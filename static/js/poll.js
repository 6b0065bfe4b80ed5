// Fragments that refresh themselves: any element with hx-trigger="every ...".
//  - a hidden tab doesn't ask; when it is shown again it asks at once
//  - a refresh that fails is marked "Not updated since ..." until one succeeds ("unchanged", 204, is a success)
//  - open <details>, the focus and the scroll position outlive a refresh
//  - an open dialog inside the fragment, or something that is being pressed, holds the refresh back: a click is only one
//    if the button is still there when it is let go
(() => {
  const POLLING = "[hx-trigger*='every']";
  const lastGood = new WeakMap(); // fragment -> Date of its last good answer
  const loaded = new Date();
  let kept = null;

  const polls = (element) => element instanceof Element && element.matches(POLLING);

  const clock = (moment) =>
    moment.toLocaleTimeString("en-GB", { timeZone: document.documentElement.dataset.zone || undefined });

  const markStale = (fragment) => {
    if (!document.body.contains(fragment) || fragment.classList.contains("is-stale")) return;
    const mark = document.createElement("p");
    mark.className = "stale-mark";
    mark.setAttribute("role", "status");
    mark.textContent = `Not updated since ${clock(lastGood.get(fragment) ?? loaded)}`;
    fragment.classList.add("is-stale");
    fragment.prepend(mark);
  };

  const markFresh = (fragment) => {
    lastGood.set(fragment, new Date());
    fragment.classList.remove("is-stale");
    fragment.querySelector(":scope > .stale-mark")?.remove();
  };

  // How to find the focused element again in the new fragment: by its id, address or words, and as which of those.
  const nameOf = (element) =>
    element.id || element.getAttribute("href") || element.getAttribute("aria-label") || element.textContent.trim();

  const named = (kind, name) => [...document.querySelectorAll(kind)].filter((element) => nameOf(element) === name);

  const placeOf = (element) => {
    const kind = element.localName;
    const name = nameOf(element);
    return { kind, name, at: named(kind, name).indexOf(element) };
  };

  const focusOn = ({ kind, name, at }) => {
    const found = named(kind, name);
    (found[at] ?? found[0])?.focus({ preventScroll: true });
  };

  const keep = (fragment) => {
    const scrolled = [...fragment.querySelectorAll("[id]")].filter((el) => el.scrollLeft || el.scrollTop);
    kept = {
      details: [...fragment.querySelectorAll("details[id]")].map((el) => [el.id, el.open]),
      scrolled: scrolled.map((el) => [el.id, el.scrollLeft, el.scrollTop]),
      focus: fragment.contains(document.activeElement) ? placeOf(document.activeElement) : null,
      page: scrollY,
    };
  };

  const restore = () => {
    for (const [id, open] of kept.details) document.getElementById(id)?.toggleAttribute("open", open);
    for (const [id, left, top] of kept.scrolled) document.getElementById(id)?.scrollTo({ left, top, behavior: "instant" });
    if (kept.focus && document.activeElement === document.body) focusOn(kept.focus);
    if (scrollY !== kept.page) scrollTo({ top: kept.page, behavior: "instant" });
    kept = null;
  };

  const on = (name, handler) => document.addEventListener(name, handler);

  on("htmx:beforeRequest", (event) => {
    if (polls(event.detail.elt) && document.hidden) event.preventDefault();
  });

  on("htmx:beforeSwap", (event) => {
    const fragment = event.detail.requestConfig?.elt;
    if (!polls(fragment) || !event.detail.shouldSwap) return;
    if (fragment.querySelector(":active, :popover-open, dialog[open]")) event.detail.shouldSwap = false;
    else keep(event.detail.target);
  });

  on("htmx:afterSwap", () => kept && restore());

  on("htmx:afterRequest", (event) => {
    if (polls(event.detail.elt) && event.detail.successful) markFresh(event.detail.elt);
  });

  for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    on(failure, (event) => polls(event.detail.elt) && markStale(event.detail.elt));
  }

  on("visibilitychange", () => {
    if (document.hidden) return;
    for (const fragment of document.querySelectorAll(POLLING)) {
      htmx.ajax("GET", fragment.getAttribute("hx-get"), { source: fragment });
    }
  });
})();
