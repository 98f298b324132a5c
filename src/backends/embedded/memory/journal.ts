import type { Journal } from '../../../backend.ts';
import { isId, journalId, type RunId } from '../../../protocol/ids.ts';
import { checkAppend, checkCount } from '../check.ts';
import type { Opened } from './open.ts';

export function memoryJournal({ store: { journals, grown }, ends, use }: Opened): Journal {
  return {
    async append(journal, entries, at) {
      use();
      checkAppend(journal, entries, at);
      const known = journals.get(journal);
      const last = known?.at(-1);
      if ((last?.seq ?? 0) !== at.after || (last?.epoch ?? 0) > at.epoch) return { status: 'refused' };
      if (known === undefined) journals.set(journal, Array.from(entries));
      else known.push(...entries);
      grown.tell(journal);
      return { status: 'appended', level: 'memory' };
    },
    async *read(journal, from = 1) {
      use();
      journalId(journal);
      checkCount(from, 'from', 1);
      const known = journals.get(journal) ?? [];
      const end = known.length;
      for (let at = from - 1; at < end; at += 1) {
        use();
        const entry = known[at];
        if (entry !== undefined) yield entry;
      }
    },
    async tail(journal) {
      use();
      journalId(journal);
      return journals.get(journal)?.at(-1);
    },
    async *list() {
      use();
      for (const journal of Array.from(journals.keys())) {
        use();
        if (isId(journal)) yield journal as RunId;
      }
    },
    watch(journal, changed) {
      use();
      journalId(journal);
      return ends.add(grown.watch(journal, changed));
    },
  };
}
