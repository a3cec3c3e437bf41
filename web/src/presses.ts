// One press does one thing: not the second click of a double click too, and not what a key that is held repeats.

/** A click that acts; the second one of a double click may be on what has moved under the pointer. */
export const once = (act: () => void) => (event: Pick<MouseEvent, 'detail'>): void => {
  if (event.detail < 2) act();
};

/** On a form's button: the second click of a double click does not send it again. */
export function notTwice(event: Pick<MouseEvent, 'detail' | 'preventDefault'>): void {
  if (event.detail > 1) event.preventDefault();
}

/** On a form: Enter that is held down sends it once. */
export function notHeld(event: Pick<KeyboardEvent, 'key' | 'repeat' | 'preventDefault'>): void {
  if (event.key === 'Enter' && event.repeat) event.preventDefault();
}
