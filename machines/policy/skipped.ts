import type { StepSpec } from '../../src/protocol/spec.ts';

/** Why the steps of a plan that were skipped were, by name. `statuses`: how each of them stands. */
export function whySkipped(
  steps: readonly StepSpec[],
  statuses: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const forgiven = new Set(steps.filter(({ onFailure }) => onFailure === 'continue').map(({ name }) => name));
  const isOut = (name: string): boolean => {
    const status = statuses.get(name);
    return status === 'skipped' || (status === 'failed' && !forgiven.has(name));
  };
  const reasonOf = ({ needs, anyOf = [] }: StepSpec): string => {
    const need = needs.find(isOut);
    if (need !== undefined) return statuses.get(need) === 'failed' ? `${need} failed` : `${need} was skipped`;
    if (anyOf.length > 0 && anyOf.every(isOut)) return `none of ${anyOf.join(', ')} was done`;
    return 'its condition does not hold';
  };
  const skipped = steps.filter(({ name }) => statuses.get(name) === 'skipped');
  return new Map(skipped.map((step) => [step.name, reasonOf(step)]));
}
