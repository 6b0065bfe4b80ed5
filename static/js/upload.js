// Uploads that say how far they are: <form data-upload data-max-bytes="..."> with a file chosen. Everything else, and a
// browser without scripts, sends the form as forms are sent.
(() => {
  const MOST_PASTED = 20 * 1024 ** 2; // the server takes a little more in a form without its files
  let sending = null;

  const part = (form, name) => form.querySelector(`[data-${name}]`);
  const MiB = (bytes) => `${(bytes / 1024 ** 2).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;

  const say = (form, problem) => {
    const box = part(form, "problem");
    box.textContent = problem;
    box.hidden = !problem;
  };

  const show = (form, busy) => {
    part(form, "uploading").hidden = !busy;
    for (const button of form.querySelectorAll("button[type='submit']")) button.disabled = busy;
    if (busy) part(form, "stop").focus();
  };

  // The page came back with what is wrong: show it, and keep the chosen file, which the server can't send back.
  const showAnswer = (form, html) => {
    const main = new DOMParser().parseFromString(html, "text/html").querySelector("main");
    const files = form.querySelector("input[type='file']").files;
    const field = main.querySelector("form[data-upload] input[type='file']");
    if (field && files.length) {
      field.files = files;
      main.querySelector("[data-file-lost]")?.remove();
    }
    form.closest("main").replaceWith(main);
    main.querySelector("#form-errors")?.scrollIntoView({ block: "center" });
  };

  const finish = (form, request) => {
    show(form, false);
    if (request.status === 201) location.assign(request.getResponseHeader("Location"));
    else if (request.status === 200 && new URL(request.responseURL).pathname === new URL(form.action).pathname) {
      showAnswer(form, request.responseText);
    } else if (request.status === 200) location.assign(request.responseURL); // signed out meanwhile
    else say(form, `The portal answered ${request.status}. Reload the page and try again.`);
  };

  const send = (form, file) => {
    const request = new XMLHttpRequest();
    const bar = part(form, "uploading").querySelector("progress");
    const said = part(form, "said");
    bar.value = 0;
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = (1000 * loaded) / total;
      said.textContent = loaded < total ? `${MiB(loaded)} of ${MiB(total)}` : "done; the portal looks at the file";
    });
    request.addEventListener("load", () => finish(form, request));
    request.addEventListener("error", () => {
      show(form, false);
      say(form, "The upload broke off, and nothing was imported. If the file was changed since you chose it, choose it again.");
    });
    request.addEventListener("abort", () => {
      show(form, false);
      say(form, "The upload was stopped. Nothing was imported.");
    });
    request.addEventListener("loadend", () => (sending = null));
    request.open("POST", form.action);
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    said.textContent = `${file.name}, ${MiB(file.size)}`;
    say(form, "");
    const data = new FormData(form); // before its buttons are disabled
    show(form, true);
    request.send(data);
    sending = request;
  };

  // In the capturing phase: before forms.js, which leaves alone what is taken care of.
  addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (form.dataset.upload === undefined) return;
      const file = form.querySelector("input[type='file']").files[0];
      if (new Blob([form.querySelector("textarea").value]).size > MOST_PASTED) {
        event.preventDefault();
        say(form, `This is more than ${MiB(MOST_PASTED)} of text. Save it as a file, and choose that.`);
        return;
      }
      if (!file) return;
      event.preventDefault();
      if (sending) return;
      if (file.size > form.dataset.maxBytes) {
        say(form, `“${file.name}” has ${MiB(file.size)}; at most ${MiB(form.dataset.maxBytes)} are taken in. Split it.`);
      } else send(form, file);
    },
    true,
  );

  addEventListener("click", (event) => {
    if (event.target.closest?.("[data-stop]")) sending?.abort();
  });
})();
