// A question in front of the page: the browser keeps the focus in it, and Escape leaves it.

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { notHeld, once } from '../presses';

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
  class?: string;
}

export function Dialog({ title, close, children, class: kind = '' }: Props) {
  const place = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const [before, dialog] = [document.activeElement, place.current];
    dialog?.showModal();
    return () => {
      // What is behind an open dialog cannot have the focus.
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  // A click beside the box is one on the dialog itself; the second of a double click opened it.
  const beside = (event: MouseEvent) => event.target === place.current && once(close)(event);
  return (
    <dialog ref={place} class={kind} aria-labelledby="dialog-title" onCancel={(event) => { event.preventDefault(); close(); }} onClick={beside}>
      <div class="inside">
        <h2 id="dialog-title">{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface Question {
  title: string;
  children: ComponentChildren;
  yes: string;
  /** Why yes cannot be said now; empty when it can. */
  wrong?: string;
  danger?: boolean;
  buy?: boolean;
  sell?: boolean;
  onYes: () => void;
  close: () => void;
}

/** Enter says yes, unless it is still held down from before. */
export function Ask(props: Question) {
  const first = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => first.current?.focus(), []);
  const wrong = props.wrong ?? '';
  const yes = () => {
    if (wrong !== '') return;
    props.close();
    props.onYes();
  };
  const kind = props.buy ? 'send buy' : props.sell ? 'send sell' : props.danger ? 'danger solid' : 'solid';
  return (
    <Dialog title={props.title} close={props.close} class="question">
      {props.children}
      <p class="answer bad" role="status">{wrong}</p>
      <div class="buttons end">
        <button onClick={props.close}>Back <kbd>Esc</kbd></button>
        <button ref={first} class={kind} aria-disabled={wrong !== ''} onKeyDown={notHeld} onClick={once(yes)}>{props.yes} <kbd>Enter</kbd></button>
      </div>
    </Dialog>
  );
}
