(() => {
  'use strict';
  const root = document.documentElement;
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  root.classList.add('js');

  // Sort a table by a column: figures before words, what has no figure last in both directions.
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.s ?? cell.textContent.trim();
    if (text === '' || text === '-') return null;
    const number = Number(text.replace(/^(up to )?([\d.]+) s\b.*$/, '$2'));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === typeof b ? (typeof a === 'number' ? a - b : a.localeCompare(b)) : typeof a === 'number' ? -1 : 1;
  const sort = (table, column, head) => {
    const up = head.getAttribute('aria-sort') !== 'ascending';
    all('thead th', table).forEach((each) => each.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, key: value(row, column) }));
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      return (up ? 1 : -1) * compare(a.key, b.key) || a.place - b.place;
    });
    body.append(...rows.map((each) => each.row));
  };
  all('table.sortable').forEach((table) => {
    all('thead th', table).forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...head.childNodes);
      button.title = 'sort by this column';
      head.append(button);
      button.addEventListener('click', () => sort(table, column, head));
    });
  });

  // Find words in the rows of the overview; verdict, topic and fault are filtered by the style alone.
  const form = document.querySelector('.filters');
  const find = document.getElementById('find');
  const shown = document.getElementById('shown');
  const filterable = all('#overview tbody tr, .findings > li');
  const partner = new Map(all('details.run').map((each) => [each.querySelector('.inside').id, each]));
  const search = new Map(filterable.map((each) => {
    const link = each.querySelector('a[href^="#run-"]');
    const run = link && partner.get(link.hash.slice(1));
    return [each, { run, text: null }];
  }));
  const update = () => {
    const wanted = find ? find.value.trim().toLowerCase() : '';
    search.forEach((about, each) => {
      if (about.text === null && wanted) {
        about.text = `${each.textContent} ${about.run ? about.run.querySelector('.why').textContent : ''}`.toLowerCase();
      }
      const hidden = Boolean(wanted) && !about.text.includes(wanted);
      if (each.hidden !== hidden) each.hidden = hidden;
      if (about.run && about.run.hidden !== hidden) about.run.hidden = hidden;
    });
    if (shown) {
      const visible = filterable.filter((each) => each.offsetParent !== null).length;
      shown.textContent = `${visible} of ${filterable.length} shown`;
    }
  };
  if (form) {
    form.addEventListener('input', update);
    form.addEventListener('reset', () => setTimeout(update));
    form.addEventListener('submit', (event) => event.preventDefault());
    update();
  }

  // Runs: a link opens the one it leads to.
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const run = target && target.closest('details');
    if (run && !run.open) {
      run.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener('hashchange', reveal);
  reveal();
  const setAll = (open) => all('details.run').forEach((each) => { if (each.offsetParent !== null) each.open = open; });
  document.getElementById('open')?.addEventListener('click', () => setAll(true));
  document.getElementById('close')?.addEventListener('click', () => setAll(false));

  // Paper shows everything.
  let closed = [];
  addEventListener('beforeprint', () => {
    closed = all('details:not([open])');
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener('afterprint', () => closed.forEach((each) => { each.open = false; }));

  // Command lines can be copied.
  if (navigator.clipboard) {
    all('.cmd').forEach((line) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = 'copy';
      button.addEventListener('click', async () => {
        await navigator.clipboard.writeText(line.querySelector('code').textContent);
        button.textContent = 'copied';
        setTimeout(() => { button.textContent = 'copy'; }, 1500);
      });
      line.append(button);
    });
  }
})();
