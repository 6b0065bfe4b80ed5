// Forms: sent once, live counts under textareas, long lists of choices, files dropped on their field.
(() => {
  // Sent once. <form data-repeatable> is left alone (a download stays on its page).
  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.dataset.repeatable !== undefined || event.defaultPrevented) return;
    if (form.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      return;
    }
    form.setAttribute("aria-busy", "true");
    event.submitter?.setAttribute("aria-busy", "true");
    // Only after the browser has collected the fields: a disabled button would not be sent.
    setTimeout(() => setDisabled(form, true));
  });

  const setDisabled = (form, disabled) => {
    for (const button of form.querySelectorAll("button[type='submit'], button:not([type])")) button.disabled = disabled;
  };

  // Back from the next page: the browser shows this one as it was left.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[aria-busy]")) {
      form.removeAttribute("aria-busy");
      form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
      setDisabled(form, false);
    }
  });

  // Live counts: <output data-count="numbers|characters" for="id of the textarea">. The server's reading decides.
  const plural = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

  const numbersIn = (text) => {
    const found = [];
    for (const piece of text.normalize("NFKC").split(/[\n\r,;|\t]+/)) {
      for (const run of piece.match(/\+?\d[\d ().\-/]{4,}\d/g) ?? []) {
        const words = run.split(/ +/);
        const whole = words.length > 1 && words.every((word) => word.replace(/\D/g, "").length >= 8);
        found.push(...(whole ? words : [run]).map((word) => word.replace(/\D/g, "")));
      }
    }
    return found;
  };

  const says = {
    numbers(field) {
      const numbers = numbersIn(field.value);
      const repeated = numbers.length - new Set(numbers).size;
      return plural(numbers.length, "number") + (repeated ? `, ${repeated.toLocaleString("en")} repeated` : "");
    },
    characters(field) {
      const limit = field.maxLength > 0 ? ` of ${field.maxLength.toLocaleString("en")}` : "";
      return `${field.value.length.toLocaleString("en")}${limit} characters`;
    },
  };

  const outputOf = (field) => field.id && document.querySelector(`output[data-count][for="${CSS.escape(field.id)}"]`);

  const count = (field) => {
    const output = outputOf(field);
    if (output) output.textContent = says[output.dataset.count](field);
  };

  let waiting = 0; // pasted lists can be long: count when typing rests
  addEventListener("input", (event) => {
    if (!outputOf(event.target)) return;
    clearTimeout(waiting);
    waiting = setTimeout(count, event.target.value.length > 20000 ? 250 : 0, event.target);
  });

  for (const output of document.querySelectorAll("output[data-count]")) {
    const field = document.getElementById(output.htmlFor.value);
    if (field) count(field);
  }

  // A long list of choices has a filter above it. What is chosen stays in sight, whatever is typed.
  const FEW = 12;
  for (const filter of document.querySelectorAll("[data-filter]")) {
    const [typed, output] = filter.children;
    const labels = [...filter.parentElement.querySelectorAll(".choices label")];
    const show = () => {
      const wanted = typed.value.trim().toLowerCase();
      let shown = 0;
      for (const label of labels) {
        const fits = label.textContent.toLowerCase().includes(wanted) || label.control.checked;
        label.parentElement.hidden = !fits;
        shown += fits;
      }
      output.textContent = wanted && `${shown.toLocaleString("en")} of ${labels.length.toLocaleString("en")} shown`;
    };
    filter.hidden = labels.length <= FEW;
    typed.addEventListener("input", show);
    typed.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault(); // it would send the form
    });
    show(); // going back, the browser fills in what was typed
  }

  // Dropping a file works by itself; this only shows where.
  for (const kind of ["dragenter", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.target.closest?.(".file-drop")?.classList.toggle("is-over", kind === "dragenter");
    });
  }
})();
