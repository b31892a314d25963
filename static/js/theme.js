// The chosen theme, before anything is drawn: a plain script in the head, so that no page flashes in the wrong one.
'use strict';

(() => {
  const root = document.documentElement;
  const themes = ['auto', 'light', 'dark', 'contrast'];
  let now = 'auto';
  try { now = localStorage.getItem('circus-theme') || 'auto'; } catch { /* storage is switched off: automatic */ }
  const set = (theme) => {
    now = themes.includes(theme) ? theme : 'auto';
    if (now === 'light' || now === 'dark') root.dataset.theme = now; else delete root.dataset.theme;
    // High contrast is light or dark as the system is.
    if (now === 'contrast') root.dataset.contrast = 'more'; else delete root.dataset.contrast;
  };
  set(now);
  const told = new Set();
  // Colours change at once: what is led over from light to dark is grey on grey on its way. By the second frame the new ones are there.
  const changed = () => {
    root.dataset.still = '';
    requestAnimationFrame(() => requestAnimationFrame(() => { delete root.dataset.still; }));
    for (const tell of told) tell();
  };
  for (const query of ['(prefers-color-scheme: dark)', '(prefers-contrast: more)', '(forced-colors: active)']) matchMedia(query).addEventListener('change', changed);
  window.circusTheme = {
    themes,
    get now() { return now; },
    choose(theme) {
      set(theme);
      try { localStorage.setItem('circus-theme', now); } catch { /* it holds for this page */ }
      changed();
      return now;
    },
    // Called whenever the colours have become others, by the button or by the system; what it returns ends that.
    onChange(tell) {
      told.add(tell);
      return () => told.delete(tell);
    },
  };
})();
