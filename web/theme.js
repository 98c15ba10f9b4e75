/** Light or dark: as the system, unless one says otherwise. */

const KEPT = "hansard-theme";
export const THEMES = /** @type {const} */ (["system", "light", "dark"]);

export function theme() {
  return localStorage.getItem(KEPT) ?? "system";
}

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

/** @param {string} chosen */
export function changeTheme(chosen) {
  localStorage.setItem(KEPT, chosen);
  applyTheme();
}
