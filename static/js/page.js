// Small conveniences: focus in dialogs, copy buttons, and waveforms that follow their player.
(() => {
  // An opened confirmation (a popover) starts on its safe answer. The event doesn't bubble, hence "true".
  addEventListener(
    "toggle",
    (event) => {
      if (event.newState === "open" && event.target.matches(".dialog")) event.target.querySelector(".dialog-footer button").focus();
    },
    true,
  );

  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Over plain HTTP on another host the clipboard is closed to scripts; the old way still works.
    const box = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  };

  // <button data-copy="text"> or <button data-copy-from="id of an element">
  addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy], [data-copy-from]");
    if (!button) return;
    await copy(button.dataset.copy ?? document.getElementById(button.dataset.copyFrom).textContent);
    const said = Object.assign(document.createElement("span"), { textContent: "Copied" });
    said.setAttribute("role", "status");
    button.querySelector("[role='status']")?.remove();
    button.append(said);
    setTimeout(() => said.remove(), 2000);
  });

  // <div class="waveform" data-audio="id of an <audio>">: bars up to the player's position take its colour.
  const follow = (figure) => {
    const player = document.getElementById(figure.dataset.audio);
    const bars = [...figure.querySelectorAll("rect")];
    if (!player || !bars.length) return;
    const paint = () => {
      const played = player.duration ? (bars.length * player.currentTime) / player.duration : 0;
      bars.forEach((bar, place) => bar.classList.toggle("waveform-played", place < played));
      if (!player.paused) requestAnimationFrame(paint);
    };
    for (const event of ["play", "seeked", "ended", "pause"]) player.addEventListener(event, paint);
    figure.querySelector("svg").addEventListener("click", (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      if (player.duration) player.currentTime = ((event.clientX - box.left) / box.width) * player.duration;
    });
  };

  document.querySelectorAll(".waveform[data-audio]").forEach(follow);
})();
