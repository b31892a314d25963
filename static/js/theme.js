// The chosen theme, before anything is drawn: a plain script in the head, so that no page flashes in the wrong one.
'use strict';

(() => {
  const root = document.documentElement;
  const themes = ['auto', 'light', 'dark'];
  let now = 'auto';
  try { now = localStorage.getItem('circus-theme') || 'auto'; } catch { /* storage is switched off: automatic */ }
  const set = (theme) => {
    now = themes.includes(theme) ? theme : 'auto';
    if (now === 'auto') delete root.dataset.theme; else root.dataset.theme = now;
  };
  set(now);
  window.circusTheme = {
    get now() { return now; },
    next() {
      set(themes[(themes.indexOf(now) + 1) % themes.length]);
      try { localStorage.setItem('circus-theme', now); } catch { /* it holds for this page */ }
      return now;
    },
  };
})();
