/** An entry, as on a command line: its seq, or the label of a checkpoint. */
export const placeOf = (text: string): number | string => (/^\d{1,15}$/.test(text) ? Number(text) : text);
