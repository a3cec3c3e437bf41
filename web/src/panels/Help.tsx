// The keys, in front of the page.

import { help, KEYS } from '../keys';
import { Dialog } from './Dialog';

export function Help() {
  if (!help.value) return null;
  return (
    <Dialog title="Keys" close={() => { help.value = false; }} class="help">
      <dl>
        {KEYS.map(({ keys, does }) => <div key={does}><dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{does}</dd></div>)}
      </dl>
      <div class="buttons end"><button autofocus onClick={() => { help.value = false; }}>Close <kbd>Esc</kbd></button></div>
    </Dialog>
  );
}
