// What the keyboard does, in one table: the help shows it, and the page obeys it.

import { signal } from '@preact/signals';
import { theme, type Theme } from './settings';

export const help = signal(false);

export interface Key {
  keys: string[];
  does: string;
  /** Left out where the browser or the ticket does it. */
  act?: () => void;
}

export const KEYS: Key[] = [];

const THEMES: Theme[] = ['auto', 'dark', 'light'];
export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto';
}

const TEXT_INPUTS = new Set(['checkbox', 'radio', 'button', 'submit']);

function typing(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !TEXT_INPUTS.has(target.type);
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

/** Escape leaves a field; other keys act when nothing is being typed and no dialog is open. */
export function listen(): void {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape' && document.activeElement instanceof HTMLElement) {
      document.activeElement.blur();
      return;
    }
    if (typing(event.target) || event.repeat) return;
    const pressed = event.shiftKey && event.key.length === 1 && /[A-Z]/.test(event.key) ? `Shift+${event.key}` : event.key.toUpperCase();
    const found = KEYS.find(({ keys, act }) => act && keys.includes(pressed));
    if (!found?.act) return;
    event.preventDefault();
    found.act();
  });
}
