"use strict";

// The viewer page: OpenSeadragon with own controls, scale bar, read-outs and keys.

(() => {
  const POWERS = [1.25, 2.5, 5, 10, 20, 40];
  const ZOOM_STEP = 1.5;
  const BAR_WIDTH = 160;
  // CSS pixels per slide pixel at the closest zoom.
  const MAX_DIGITAL_ZOOM = 4;
  // Widest view: the slide at this part of the window, or at the lowest power if that is wider still.
  const MIN_WINDOW_PART = 0.8;

  const element = (id) => document.getElementById(id);
  const slide = JSON.parse(element("slide-info").textContent);
  const native = Scale.nativePower(slide);

  const viewer = OpenSeadragon({
    element: element("slide"),
    drawer: "auto",
    tileSources: {
      width: slide.width,
      height: slide.height,
      tileSize: slide.tileSize,
      tileOverlap: slide.overlap,
      minLevel: 0,
      maxLevel: slide.maxLevel,
      getTileUrl: (level, column, row) => `${slide.tiles}${level}/${column}_${row}.jpg?v=${slide.version}`,
    },
    // A server with too much to do says so, and asks to come back in a second.
    tileRetryMax: 5,
    tileRetryDelay: 1000,
    showNavigationControl: false,
    showNavigator: true,
    navigatorPosition: "TOP_RIGHT",
    navigatorAutoFade: false,
    navigatorOpacity: 1,
    maxZoomPixelRatio: MAX_DIGITAL_ZOOM,
    visibilityRatio: 0.3,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    animationTime: 0.4,
    blendTime: 0,
    immediateRender: false,
    imageLoaderLimit: 8,
    maxImageCacheCount: 600,
    tileRetryMax: 2,
    tileRetryDelay: 1000,
    timeout: 30000,
  });
  window.viewer = viewer;

  const imageZoom = () => viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom(true));

  function updateScale() {
    if (!viewer.isOpen()) {
      return;
    }
    const zoom = imageZoom();
    const bar = Scale.bar(slide, zoom, BAR_WIDTH);
    element("scale-bar").style.width = `${bar.width}px`;
    element("scale-text").textContent = bar.text;
    element("magnification").textContent = Scale.magnificationText(slide, zoom);
  }

  function updateZoomLimit() {
    const viewport = viewer.viewport;
    const lowest = native === null ? Infinity : viewport.imageToViewportZoom(POWERS[0] / native);
    viewport.minZoomLevel = Math.min(MIN_WINDOW_PART * viewport.getHomeZoom(), lowest);
  }

  function onResize() {
    if (viewer.isOpen()) {
      updateZoomLimit();
      updateScale();
    }
  }

  function showPosition(point) {
    const image = viewer.viewport.viewportToImageCoordinates(point);
    element("position").textContent = Scale.positionText(slide, image.x, image.y);
  }

  function showCentre() {
    if (viewer.isOpen()) {
      showPosition(viewer.viewport.getCenter(true));
    }
  }

  function zoomTo(power) {
    if (viewer.isOpen() && native !== null && power <= native * 1.001) {
      viewer.viewport.zoomTo(viewer.viewport.imageToViewportZoom(power / native));
      viewer.viewport.applyConstraints();
    }
  }

  function zoomBy(factor) {
    if (viewer.isOpen()) {
      viewer.viewport.zoomBy(factor);
      viewer.viewport.applyConstraints();
    }
  }

  function toggleFullScreen() {
    const change = document.fullscreenElement ? document.exitFullscreen() : element("stage").requestFullscreen();
    change.catch((error) => showNotice(`Full screen is not available: ${error.message}`, false));
  }

  const actions = {
    in: () => zoomBy(ZOOM_STEP),
    out: () => zoomBy(1 / ZOOM_STEP),
    home: () => viewer.isOpen() && viewer.viewport.goHome(),
    full: toggleFullScreen,
  };

  const keys = { "+": "in", "=": "in", "-": "out", _: "out", 0: "home", Home: "home", f: "full", F: "full" };

  // OpenSeadragon pans with arrows and WASD. Its other keys rotate, flip or change pages.
  viewer.addHandler("canvas-key", (event) => {
    const pans = /^(Arrow(Up|Down|Left|Right)|Key[WASD])$/.test(event.originalEvent.code);
    event.preventDefaultAction = !pans || event.originalEvent.shiftKey;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") {
      // From here on the focus is shown on the slide too, which has it from the start.
      document.body.dataset.tabbed = "true";
    }
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const power = POWERS[Number(event.key) - 1];
    if (keys[event.key]) {
      actions[keys[event.key]]();
    } else if (power !== undefined) {
      zoomTo(power);
    } else {
      return;
    }
    event.preventDefault();
  });

  element("tools").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) {
      actions[button.dataset.action]();
    }
  });

  function addPowerButtons() {
    const bar = element("magnifications");
    POWERS.forEach((power, index) => {
      if (native === null || power > native * 1.001) {
        return;
      }
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${power}x`;
      button.title = `${power}x (${index + 1})`;
      button.addEventListener("click", () => zoomTo(power));
      bar.append(button);
    });
    bar.hidden = bar.childElementCount === 0;
  }

  // Tiles that could not be loaded, by address.
  const failed = new Set();

  function showNotice(text, canRetry) {
    element("notice-text").textContent = text;
    element("notice-retry").hidden = !canRetry;
    element("notice").hidden = false;
    element("loading").hidden = true;
  }

  function showFailed() {
    if (failed.size === 0) {
      element("notice").hidden = true;
      return;
    }
    const tiles = failed.size === 1 ? "One tile" : `${failed.size} tiles`;
    showNotice(`${tiles} could not be loaded: parts of the picture are missing or blurred.`, true);
  }

  function retry() {
    failed.clear();
    showFailed();
    for (let index = 0; index < viewer.world.getItemCount(); index += 1) {
      viewer.world.getItemAt(index).reset();
    }
    viewer.forceRedraw();
  }

  viewer.addHandler("tile-load-failed", (event) => {
    if (event.maxReached) {
      failed.add(event.tile.getUrl());
      showFailed();
    }
  });

  viewer.addHandler("tile-loaded", (event) => {
    if (failed.delete(event.tile.getUrl())) {
      showFailed();
    }
  });

  viewer.addHandler("open-failed", (event) => showNotice(`The slide cannot be opened: ${event.message}`, false));

  viewer.addHandler("open", () => {
    addPowerButtons();
    updateZoomLimit();
    updateScale();
    showCentre();
    const image = viewer.world.getItemAt(0);
    image.addHandler("fully-loaded-change", (event) => {
      element("loading").hidden = event.fullyLoaded || failed.size > 0;
      if (event.fullyLoaded) {
        // Two frames: the first draws what has just been loaded.
        requestAnimationFrame(() => requestAnimationFrame(() => (document.body.dataset.ready = "true")));
      }
    });
    viewer.canvas.focus({ preventScroll: true });
  });

  viewer.addHandler("animation", updateScale);
  viewer.addHandler("resize", onResize);
  viewer.addHandler("animation-finish", showCentre);
  element("notice-retry").addEventListener("click", retry);

  new OpenSeadragon.MouseTracker({
    element: viewer.container,
    moveHandler: (event) => viewer.isOpen() && showPosition(viewer.viewport.pointFromPixel(event.position)),
    leaveHandler: showCentre,
  });
})();
