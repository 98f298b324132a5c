import fc from 'fast-check';
import { expect, test } from 'vitest';
import { at, put, vector } from '../../machines/vector.ts';

test('holds what an array would, and what it was before stays what it was', () => {
  const changes = fc.array(fc.tuple(fc.nat({ max: 400 }), fc.integer()), { maxLength: 50 });
  fc.assert(
    fc.property(fc.array(fc.integer(), { maxLength: 300 }), changes, (start, made) => {
      let array = start;
      let items = vector(start);
      for (const [place, item] of made) {
        const index = Math.min(place, array.length);
        const before = items;
        const was = array;
        items = put(items, index, item);
        array = array.toSpliced(index, 1, item);
        expect(items.flat()).toEqual(array);
        expect(before.flat()).toEqual(was);
      }
      for (const [index, item] of array.entries()) expect(at(items, index)).toBe(item);
      expect(at(items, array.length)).toBeUndefined();
    }),
  );
});

test('a change copies little of a long one', () => {
  const long = vector([...Array(10_000).keys()]);
  const changed = put(long, 5_000, -1);
  expect(changed.filter((piece, index) => piece !== long[index])).toHaveLength(1);
});
