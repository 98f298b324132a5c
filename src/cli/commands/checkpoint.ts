import { ValidationError } from '../../protocol/errors.ts';
import { checkId } from '../../protocol/ids.ts';
import { askOne } from '../ask.ts';
import type { ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';
import { placeOf } from '../place.ts';

export function checkpoint(id: string, label: string, options: CommonOptions): Promise<ExitCode> {
  return open(options, (session) => {
    // Before the run is taken over for it.
    if (typeof placeOf(checkId(label, 'label of a checkpoint')) === 'number')
      throw new ValidationError(`${label} would be taken for the seq of an entry; give the checkpoint another label.`, {
        label,
      });
    return askOne(session, id, {
      command: 'checkpoint',
      says: `checkpoint ${label} of`,
      ask: (run) => run.checkpoint(label),
    });
  });
}
