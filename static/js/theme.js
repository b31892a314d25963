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
  window.circusTheme = {
    themes,
    get now() { return now; },
    choose(theme) {
      set(theme);
      try { localStorage.setItem('circus-theme', now); } catch { /* it holds for this page */ }
      return now;
    },
  };
})();
