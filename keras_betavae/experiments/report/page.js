for (const slider of document.querySelectorAll(".latent input")) {
  const frame = slider.parentElement.querySelector(".frame");
  const output = slider.parentElement.querySelector("output");
  const { low, high } = slider.dataset;
  const show = () => {
    const part = slider.value / slider.max;
    frame.style.backgroundPositionX = `${100 * part}%`;
    const value = Number(low) + part * (high - low);
    output.textContent = value.toFixed(1);
    slider.setAttribute("aria-valuetext", value.toFixed(1));
  };
  slider.addEventListener("input", show);
  show();
}
