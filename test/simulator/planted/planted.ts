/** Bugs that the simulator must find. Each is a change of the sources, made as they are loaded; none of it is ever written there. */

interface Place {
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Planted extends Place {
  readonly name: string;
  /** Id of the promise that it breaks. */
  readonly promise: string;
  /** What else must be gone, where two places hold one promise. */
  readonly also?: Place;
}

/** Files are named from here. */
export const root = new URL('../../../', import.meta.url);

/** @throws Error where the place is not there, or not alone: a list that nobody looks after would find nothing */
function changed(name: string, { file, find, replace }: Place, source: string): string {
  const places = source.split(find).length - 1;
  if (places === 1) return source.replace(find, () => replace);
  throw new Error(`Planted bug '${name}': its place in ${file} is there ${places} times, not once.`);
}

/** The files that it changes, as they are then. @throws Error where a place is not there, or not alone: a list that nobody looks after would find nothing */
export function sourcesWith(bug: Planted, read: (file: string) => string): Map<string, string> {
  const sources = new Map<string, string>();
  for (const place of [bug, ...(bug.also === undefined ? [] : [bug.also])])
    sources.set(place.file, changed(bug.name, place, sources.get(place.file) ?? read(place.file)));
  return sources;
}

export const planted: readonly Planted[] = [
  {
    name: 'deliver-before-append',
    promise: 'J2',
    file: 'actors/pump.ts',
    find: `    const level = await this.#write(stored, { epoch, after, barrier });
    Object.assign(this.position, { seq: after + group.length, hash: before, at });
    this.#host.deliver(entries);`,
    replace: `    const writing = this.#write(stored, { epoch, after, barrier });
    Object.assign(this.position, { seq: after + group.length, hash: before, at });
    this.#host.deliver(entries);
    const level = await writing;`,
  },
  {
    name: 'acknowledge-before-append',
    promise: 'F2',
    file: 'actors/pump.ts',
    find: `    const level = await this.#write(stored, { epoch, after, barrier });
    Object.assign(this.position, { seq: after + group.length, hash: before, at });
    this.#host.deliver(entries);
    for (const { acknowledged, seq } of group) acknowledged?.({ seq, level });`,
    replace: `    for (const { acknowledged, seq } of group) acknowledged?.({ seq, level: 'process' });
    await this.#write(stored, { epoch, after, barrier });
    Object.assign(this.position, { seq: after + group.length, hash: before, at });
    this.#host.deliver(entries);`,
  },
  {
    name: 'go-on-after-refused',
    promise: 'F3',
    file: 'actors/pump.ts',
    find: `        await this.#mustBeOurs(stored.at(-1)?.hash);
        return`,
    replace: `        return`,
  },
  {
    name: 'no-barrier-for-intents',
    promise: 'F2',
    file: 'actors/pump.ts',
    find: `group.some(({ said }) => isIrreversible(said) || (this.irreversible && isEnd(said.type)))`,
    replace: `group.some(({ said }) => this.irreversible && isEnd(said.type))`,
  },
  {
    name: 'ambiguous-append-is-lost',
    promise: 'L1',
    file: 'actors/pump.ts',
    find: `        if (!(error instanceof StorageError && error.retryable) || this.#stopped) throw error;
        await this.#pause(error);`,
    replace: `        if (!(error instanceof StorageError && error.retryable) || this.#stopped) throw error;
        await this.#pause(error);
        return 'process';`,
  },
  {
    name: 'full-store-drops-what-waits',
    promise: 'L1',
    file: 'actors/pump.ts',
    find: `      this.#queue.unshift(...group.filter(({ refused }) => refused === undefined));
`,
    replace: '',
  },
  {
    name: 'takeover-keeps-the-epoch',
    promise: 'F1',
    file: 'actors/owner.ts',
    find: `{ seq: seq + 1, epoch: epoch + 1, at: Math.max(at, clock.now()) }, 'run.recovered'`,
    replace: `{ seq: seq + 1, epoch, at: Math.max(at, clock.now()) }, 'run.recovered'`,
  },
  {
    name: 'takeover-not-recorded',
    promise: 'F1',
    file: 'actors/owner.ts',
    find: `  const appended = await ports.journal.append(run.id, [stored], { epoch, after: seq - 1 });
  if (appended.status === 'refused') return false;
  run.advance({ seq, epoch, at, hash: stored.hash });`,
    replace: `  if (stored.seq === 0) return false;`,
  },
  {
    name: 'kill-behind-the-end',
    promise: 'K1',
    file: 'actors/owner.ts',
    find: `    if (ended !== undefined) return ended;
    const { at }`,
    replace: `    if (ended?.type === 'run.killed') return ended;
    const { at }`,
  },
  {
    name: 'kill-without-a-fence',
    promise: 'F1',
    file: 'actors/owner.ts',
    find: `const next = { seq: tail.seq + 1, epoch: tail.epoch + 1, at: Math.max(at, ports.clock.now()) };`,
    replace: `const next = { seq: tail.seq + 1, epoch: tail.epoch, at: Math.max(at, ports.clock.now()) };`,
  },
  {
    name: 'begin-before-the-intent',
    promise: 'F2',
    file: 'actors/calls.ts',
    find: `    if (effect !== 'irreversible' && child === undefined) {`,
    replace: `    if (child === undefined) {`,
  },
  {
    name: 'left-call-ends-twice',
    promise: 'E1',
    file: 'actors/calls.ts',
    find: `    if (leaf.over || this.#host.stopped()) return;
    // Switched off`,
    replace: `    if (this.#host.stopped()) return;
    if (leaf.over)
      return void this.#pump.enqueue({ type: 'leaf.abandoned', target: leaf.key, event: { cost: {} }, cause: leaf.cause });
    // Switched off`,
  },
  {
    name: 'left-call-is-charged',
    promise: 'B1',
    file: 'actors/gate.ts',
    find: `    if (how === 'abandoned' && this.#unbegun.has(said.target)) return { ...said, event: { cost: NOT_BEGUN } };
`,
    replace: '',
  },
  {
    name: 'irreversible-begins-again',
    promise: 'E3',
    file: 'actors/doubts.ts',
    find: `const isDoubtful = ({ interrupted, effect }: Leaf): boolean => interrupted && effect === 'irreversible';`,
    replace: `const isDoubtful = ({ interrupted, effect }: Leaf): boolean => interrupted && effect === undefined;`,
  },
  {
    name: 'pause-does-not-hold',
    promise: 'pause',
    file: 'actors/calls.ts',
    find: `    if (this.#host.paused()) return;
    for (const leaf of this.#held`,
    replace: `    for (const leaf of this.#held`,
  },
  {
    name: 'resume-forgets-what-waited',
    promise: 'L1',
    file: 'actors/calls.ts',
    find: `    if (this.#host.paused()) return;
    for (const leaf of this.#held`,
    replace: `    if (this.#host.paused()) return void (this.#wanted = []);
    for (const leaf of this.#held`,
  },
  {
    name: 'interrupted-calls-forgotten',
    promise: 'E3',
    file: 'actors/system/delivery.ts',
    find: `      leaf.interrupted = true;
`,
    replace: `      leaf.over = true;
`,
  },
  {
    name: 'a-begin-counts-as-its-end',
    promise: 'L1',
    file: 'actors/system/delivery.ts',
    find: `    leaf.attempts = attempt;
`,
    replace: `    leaf.attempts = attempt;
    leaf.over = this.#border.folding;
`,
  },
  {
    name: 'recorded-call-runs-again',
    promise: 'E2',
    file: 'actors/system/delivery.ts',
    find: `        return this.#to(entry, (node) => {
          // A chart that waits`,
    replace: `        return this.#to(entry, (node) => {
          if (this.#border.folding) return;
          // A chart that waits`,
  },
  {
    name: 'fold-has-effects',
    promise: 'E2',
    file: 'actors/system.ts',
    find: `if (node?.leaf !== undefined && !this.#border.folding && !isBroken(node)) this.host.want(node.leaf);`,
    replace: `if (node?.leaf !== undefined && !isBroken(node)) this.host.want(node.leaf);`,
  },
  {
    name: 'timers-forgotten-by-a-fold',
    promise: 'L1',
    file: 'actors/timers.ts',
    find: `    for (const timer of this.#byKey.values()) this.#arm(timer);
`,
    replace: '',
  },
  {
    name: 'timer-fires-early',
    promise: 'T1',
    file: 'src/clock.ts',
    find: `next !== undefined && next.due <= now; next`,
    replace: `next !== undefined && next.due <= now + 500; next`,
  },
  {
    name: 'timer-from-now-after-recovery',
    promise: 'T1',
    file: 'actors/timers.ts',
    find: `    this.#live = true;
    for`,
    replace: `    this.#live = true;
    for (const timer of this.#byKey.values()) Object.assign(timer, { due: timer.due - 400 });
    for`,
  },
  {
    name: 'one-of-two-timers-is-lost',
    promise: 'L1',
    file: 'src/clock.ts',
    find: `        this.remove(next);
        next.fire();`,
    replace: `        this.remove(next);
        const also = this.#heap[0];
        if (also !== undefined && also.due - next.due < 400) this.remove(also);
        next.fire();`,
  },
  {
    name: 'parked-timer-does-not-wake',
    promise: 'L1',
    file: 'actors/runs/parked.ts',
    find: `      this.#wake(run);
`,
    replace: '',
  },
  {
    name: 'inbox-message-dropped',
    promise: 'J2',
    file: 'actors/inbox.ts',
    find: `journal.read(inboxOf(run.id), from + 1), before))`,
    replace: `journal.read(inboxOf(run.id), from + 1), before))
    if (next.seq % 3 !== 2)`,
  },
  {
    name: 'inbox-message-twice',
    promise: 'J2',
    file: 'actors/run/commands.ts',
    find: `    if (post.seq <= this.#taken || this.#run.stopped) return;
`,
    replace: `    if (this.#run.stopped) return;
`,
    also: { file: 'actors/inbox.ts', find: `  const from = run.commands.taken;`, replace: `  const from = 0;` },
  },
  {
    name: 'taken-forgotten-by-a-fold',
    promise: 'J2',
    file: 'actors/run/commands.ts',
    find: `    this.#taken = Math.max(this.#taken, postOf(entry.cause));
`,
    replace: '',
  },
  {
    name: 'inbox-forgotten-by-continue',
    promise: 'J2',
    file: 'actors/run.ts',
    find: `      this.commands.continueAfter(beginning.event.inbox);
`,
    replace: `      this.commands.continueAfter(0);
`,
  },
  {
    name: 'parked-run-misses-its-mail',
    promise: 'L1',
    file: 'actors/runs/mail.ts',
    find: `    if (parked.has(run)) this.#ports.wake(run);
  }

  /** One reader`,
    replace: `  }

  /** One reader`,
  },
  {
    name: 'mail-not-read-after-a-takeover',
    promise: 'L1',
    file: 'actors/runs/adopting.ts',
    find: `    run.goLive([], unread ? () => mail.catchUp(id) : undefined);
    void mail.read(id);
    return run;`,
    replace: `    run.goLive([]);
    return run;`,
  },
  {
    name: 'killed-here-goes-on',
    promise: 'K1',
    file: 'actors/runs/lost.ts',
    find: `      await live?.ending.release();
      return fence(live);`,
    replace: `      return fence(undefined);`,
  },
  {
    name: 'takes-what-lives-elsewhere',
    promise: 'L1',
    file: 'actors/runs/adopting.ts',
    find: `    if (open !== undefined && open.owner !== owner && (await backend.alive(open.owner)))
      throw elsewhere(id, open.owner);`,
    replace: '',
  },
  {
    name: 'nobody-takes-over',
    promise: 'L1',
    file: 'actors/runs/presence.ts',
    find: `      if (this.#closed || (await this.#backend.alive(other))) continue;`,
    replace: `      if (!this.#closed) continue;`,
  },
  {
    name: 'approval-not-asked-for',
    promise: 'A1',
    file: 'machines/tool.ts',
    find: `            { guard: 'mustBeApproved', target: 'awaitingApproval', actions: 'judged' },
`,
    replace: '',
  },
  {
    name: 'anybody-approves',
    promise: 'A1',
    file: 'machines/tool.ts',
    find: `  return approval?.hash === hash && (approval.approvers === null || approval.approvers.includes(by));`,
    replace: `  return approval?.hash === hash;`,
    also: {
      file: 'src/deciding.ts',
      find: `  if (approvers !== null && !approvers.includes(by))`,
      replace: `  if (by === '')`,
    },
  },
  {
    name: 'denied-and-done',
    promise: 'A1',
    file: 'actors/approvals.ts',
    find: `    message.type === 'approve'
      ? {`,
    replace: `    message.hash !== ''
      ? {`,
  },
  {
    name: 'approved-with-other-arguments',
    promise: 'A1',
    file: 'machines/tool.ts',
    find: `'troupe.approve': { guard: 'isAboutThis', target: 'admitting', actions: 'begin' },`,
    replace: `'troupe.approve': {
            guard: 'isAboutThis',
            target: 'admitting',
            actions: [assign({ parsed: { item: 'changed' } }), 'begin'],
          },`,
  },
  {
    name: 'lost-irreversible-call-again',
    promise: 'E3',
    file: 'machines/policy/retry.ts',
    find: `  const irreversible = effect === 'irreversible' && failure.notPerformed !== true;`,
    replace: `  const irreversible = effect === undefined;`,
  },
  {
    name: 'interrupted-tool-begins-again',
    promise: 'E3',
    file: 'machines/tool.ts',
    find: `{ guard: 'wasIrreversible', target: 'inDoubt', actions: 'abort' },`,
    replace: `{ guard: 'wasIrreversible', target: 'admitting', actions: ['abort', 'begin'] },`,
  },
  {
    name: 'step-counted-twice',
    promise: 'B2',
    file: 'src/ledger.ts',
    find: `    this.#spent.steps += 1;
    if`,
    replace: `    this.#spent.steps += 2;
    if`,
  },
  {
    name: 'step-not-counted-after-recovery',
    promise: 'B1',
    file: 'src/ledger.ts',
    find: `      case 'run.recovered':
        return this.#interrupt();`,
    replace: `      case 'run.recovered':
        this.#spent.steps = 0;
        return this.#interrupt();`,
  },
  {
    name: 'what-was-let-go-of-stays-there',
    promise: 'L1',
    file: 'actors/runs/loose.ts',
    find: `Array.from(this.#runs, ([run, seen]) =>`,
    replace: `Array.from(new Map<RunId, number>(), ([run, seen]) =>`,
  },
  {
    name: 'children-outlive-a-kill',
    promise: 'K1',
    file: 'actors/runs/kills.ts',
    find: `wasKilled ? began.children : isOver`,
    replace: `wasKilled ? began.children.slice(0, 0) : isOver`,
  },
  {
    name: 'child-begins-before-its-intent',
    promise: 'K1',
    file: 'actors/calls.ts',
    find: `    if (effect !== 'irreversible' && child === undefined) {`,
    replace: `    if (effect !== 'irreversible') {`,
  },
  {
    name: 'child-spends-what-it-likes',
    promise: 'B1',
    file: 'actors/children.ts',
    find: `      budget: parent.calls.gate.childBudget(call, budget),`,
    replace: `      budget,`,
  },
  {
    name: 'charged-twice',
    promise: 'B2',
    file: 'src/openCall.ts',
    find: `    charged.tokens += more.tokens;`,
    replace: `    charged.tokens += more.tokens * 2;`,
  },
  {
    name: 'reservation-not-held',
    promise: 'B1',
    file: 'src/ledger.ts',
    find: `    if (reserved !== NOTHING) add(this.#reserved, reserved);
    (this.#open`,
    replace: `    (this.#open`,
  },
  {
    name: 'end-of-a-child-not-told',
    promise: 'L1',
    file: 'actors/runs/forgetting.ts',
    find: `    if (parent !== undefined && parent !== null) await this.#ports.mail.tellParent(run, parent);
`,
    replace: '',
  },
  {
    name: 'refused-kill-is-acknowledged',
    promise: 'K1',
    file: 'actors/owner.ts',
    find: `    if (appended.status === 'appended') return killed;`,
    replace: `    if (appended.status === 'refused' || appended.level !== undefined) return killed;`,
  },
  {
    name: 'budget-forgotten-by-continue',
    promise: 'B1',
    file: 'src/ledger.ts',
    find: `        this.#spent = amountOf(entry.event.spent);
`,
    replace: `        this.#spent = amount();
`,
  },
  {
    name: 'switch-not-asked-for',
    promise: 'K1',
    file: 'actors/runs/creating.ts',
    find: `    const off = await switches.offNow(run.beginning.event);
    mustBeOpen();`,
    replace: `    const off = await Promise.resolve(undefined as KillSwitch | undefined);
    mustBeOpen();`,
  },
  {
    name: 'tenant-switch-reaches-everybody',
    promise: 'N1',
    file: 'actors/runs/switches.ts',
    find: `  if ('tenant' in width) return width.tenant === tenant;`,
    replace: `  if ('tenant' in width) return tenant !== '';`,
  },
  {
    name: 'all-reaches-nothing',
    promise: 'K1',
    file: 'actors/runs/switches.ts',
    find: `return 'definition' in width ? width.definition === definition : true;`,
    replace: `return 'definition' in width ? width.definition === definition : false;`,
  },
  {
    name: 'lifted-stays-off',
    promise: 'K1',
    file: 'actors/runs/switches.ts',
    find: `      return lifted === undefined ? before : before.filter((one) => one !== lifted);`,
    replace: `      return before;`,
  },
  {
    name: 'fork-forgets-what-was-begun',
    promise: 'fork',
    file: 'actors/copied.ts',
    find: `      case 'leaf.succeeded':`,
    replace: `      case 'leaf.started':
        return { ...entry, event: { ...entry.event, effect: 'read', reserved: {} } };
      case 'leaf.succeeded':`,
  },
  {
    name: 'fork-shares-its-child',
    promise: 'K1',
    file: 'actors/child.ts',
    find: `  return child?.run === childId(entry.run, entry.target) ? child : undefined;`,
    replace: `  return child;`,
  },
  {
    name: 'fork-spends-anew',
    promise: 'B1',
    file: 'src/ledger.ts',
    find: `        return this.#inherit();`,
    replace: `        this.#inherit();
        this.#spent = amount();
        return;`,
  },
  {
    name: 'fork-is-written-before-it-is-folded',
    promise: 'R2',
    file: 'actors/fork.ts',
    find: `  const own = { ...ports, journal: staged };`,
    replace: `  await staged.commit();
  const own = { ...ports, journal: staged };`,
  },
  {
    name: 'dollars-not-held',
    promise: 'B1',
    file: 'machines/policy/budget.ts',
    find: `  if (spent.nanoUsd + reserved.nanoUsd + wants.nanoUsd > bounds.nanoUsd)`,
    replace: `  if (spent.nanoUsd > bounds.nanoUsd)`,
  },
  {
    name: 'nobody-looks-at-the-clock',
    promise: 'B1',
    file: 'actors/gate.ts',
    find: `    if (this.#bounds.wallClockMs === Infinity) return undefined;`,
    replace: `    if (this.#bounds.wallClockMs > 0) return undefined;`,
  },
  {
    name: 'time-counts-while-paused',
    promise: 'B2',
    file: 'src/ledger.ts',
    find: `    return this.#underWay > 0 && this.paused === undefined ? this.#at : undefined;`,
    replace: `    return this.#underWay > 0 ? this.#at : undefined;`,
  },
  {
    name: 'time-before-a-recovery-counts',
    promise: 'B2',
    file: 'src/ledger.ts',
    find: `      else if (type !== 'run.recovered' && type !== 'run.forked') this`,
    replace: `      else this`,
  },
  {
    name: 'tenant-forgets-what-others-drew',
    promise: 'B1',
    file: 'machines/policy/fund.ts',
    find: `  const before = drawnIn(without(fund, run));`,
    replace: `  const before = amount();`,
  },
  {
    name: 'tenant-is-charged-nothing',
    promise: 'B2',
    file: 'actors/allotments.ts',
    find: `    const cost = limitsOf(await spentBy(run, this.#backend.journal));`,
    replace: `    const cost = limitsOf(await spentBy(run, this.#backend.journal).then(() => amountOf({})));`,
  },
  {
    name: 'fork-is-charged-for-the-other',
    promise: 'B2',
    file: 'src/ledger.ts',
    find: `    subtract(spent, this.#inherited);
`,
    replace: '',
  },
  {
    name: 'more-without-drawing-it',
    promise: 'B1',
    file: 'actors/allotments.ts',
    find: `      return draws ? { fund: next, result } : { result };`,
    replace: `      return next === undefined ? { fund: next, result } : { result };`,
  },
  {
    name: 'damage-passes',
    promise: 'J4',
    file: 'src/chain.ts',
    find: `    if (!sameBytes(digest(Buffer.concat([before, item.bytes])), item.hash))`,
    replace: `    if (item.bytes.length === 0)`,
  },
  {
    name: 'another-entry-is-named',
    promise: 'J4',
    file: 'src/chain.ts',
    find: `        { run, seq, what: how },`,
    replace: `        { run, seq: Math.max(1, seq - 1), what: how },`,
  },
  {
    name: 'one-damaged-run-stops-the-others',
    promise: 'L1',
    file: 'actors/runs/recovery.ts',
    find: `        recovery.left.push({ run: open.run, error });
      }`,
    replace: `        throw error;
      }`,
  },
  {
    name: 'unknown-type-is-read',
    promise: 'R3',
    file: 'src/chain.ts',
    find: `  if (v !== ENTRY_VERSION || !isEntryType(type))`,
    replace: `  if (v === undefined)`,
  },
  {
    name: 'another-divergence-is-named',
    promise: 'R2',
    file: 'actors/system/divergence.ts',
    find: `    { run, seq: entry.seq, expected, got },`,
    replace: `    { run, seq: entry.seq + 1, expected, got },`,
  },
];
