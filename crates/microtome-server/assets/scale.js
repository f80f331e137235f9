"use strict";

// Physical scale and magnification: numbers in, numbers and texts out. Nothing here touches the page.

const Scale = (() => {
  // 0.25 micrometres per pixel is what a 40x objective gives on a scanner: power = 10 / mpp.
  const POWER_TIMES_MPP = 10;
  const STEPS = [1, 2, 5];

  // Micrometres per pixel, or null: of anything else than positive numbers nothing can be measured.
  function micrometres(slide) {
    const known = Array.isArray(slide.mpp) && slide.mpp.every((value) => Number.isFinite(value) && value > 0);
    return known ? slide.mpp : null;
  }

  // Magnification of level 0, or null.
  function nativePower(slide) {
    if (Number.isFinite(slide.objectivePower) && slide.objectivePower > 0) {
      return slide.objectivePower;
    }
    const mpp = micrometres(slide);
    return mpp ? POWER_TIMES_MPP / mpp[0] : null;
  }

  // The largest of 1, 2, 5, 10, 20, ... that is at most `limit`.
  function roundLength(limit) {
    const decade = 10 ** Math.floor(Math.log10(limit));
    const step = STEPS.filter((candidate) => candidate * decade <= limit * (1 + 1e-9)).pop() ?? 1;
    return step * decade;
  }

  function lengthText(um) {
    if (um >= 1000) {
      return `${+(um / 1000).toPrecision(3)} mm`;
    }
    return um >= 1 ? `${+um.toPrecision(3)} µm` : `${+(um * 1000).toPrecision(3)} nm`;
  }

  // The scale bar when a pixel of level 0 is `zoom` CSS pixels wide: its width in CSS pixels, and its text.
  function bar(slide, zoom, maxWidth) {
    const mpp = micrometres(slide);
    const unit = mpp ? mpp[0] : 1;
    const length = roundLength((maxWidth / zoom) * unit);
    const text = mpp ? lengthText(length) : `${+length.toPrecision(3)} px (size of a pixel unknown)`;
    return { width: (length / unit) * zoom, text };
  }

  // The magnification read-out when a pixel of level 0 is `zoom` CSS pixels wide.
  function magnificationText(slide, zoom) {
    const power = nativePower(slide);
    const digital = zoom > 1.001 ? " digital" : "";
    if (power === null) {
      return `${+(zoom * 100).toPrecision(3)} %${digital}`;
    }
    const shown = power * zoom;
    return `${shown.toFixed(shown < 2 ? 2 : 1)}x${digital}`;
  }

  // Where a point of level 0 is.
  function positionText(slide, x, y) {
    const mpp = micrometres(slide);
    const pixels = `${Math.floor(x)}, ${Math.floor(y)} px`;
    if (!mpp) {
      return pixels;
    }
    return `${((x * mpp[0]) / 1000).toFixed(3)}, ${((y * mpp[1]) / 1000).toFixed(3)} mm  (${pixels})`;
  }

  return { nativePower, bar, magnificationText, positionText };
})();
