// Keeps the open page as the gateway is: news names a topic, the parts that show it are fetched anew.
(function () {
  "use strict";
  var link = document.getElementById("link");

  function typed(field) {
    if (field.tagName !== "SELECT") return field.type !== "hidden" && field.value !== field.defaultValue;
    var chosen = field.options[field.selectedIndex];
    return chosen && field.selectedIndex > 0 && !chosen.defaultSelected;
  }

  function busy(part) {
    return Array.prototype.some.call(part.querySelectorAll("input,select"), typed);
  }

  function show(part, html) {
    var holds = document.activeElement && part.contains(document.activeElement) ? document.activeElement.id : "";
    if (part.shown === html || busy(part)) return;
    part.shown = part.innerHTML = html;
    var again = holds && document.getElementById(holds);
    if (again) again.focus();
  }

  function refresh(part) {
    if (part.asking) { part.stale = true; return; }
    part.asking = true;
    fetch(part.dataset.fragment, { credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.text() : Promise.reject(answer.status); })
      .then(function (html) { show(part, html); }, function () { link.hidden = false; })
      .then(function () {
        part.asking = false;
        if (part.stale) { part.stale = false; refresh(part); }
      });
  }

  function refreshAll(topic) {
    document.querySelectorAll("[data-fragment]").forEach(function (part) {
      if (!topic || part.dataset.topics.split(" ").indexOf(topic) >= 0) refresh(part);
    });
  }

  // A card was read: the page that shows one person turns to its holder, unless somebody is typing there.
  function follow() {
    var main = document.getElementById("main");
    if ("follows" in main.dataset && location.pathname + location.search !== "/" && !busy(main)) location.assign("/");
  }

  var news = new EventSource("/events" + ("news" in document.body.dataset ? "?after=" + document.body.dataset.news : ""));
  news.onopen = function () { link.hidden = true; refreshAll(); };
  news.onerror = function () { link.hidden = false; };
  news.onmessage = function (event) {
    refreshAll(event.data);
    if (event.data === "card") follow();
  };

  document.addEventListener("keydown", function (event) {
    var aim = event.isComposing || event.repeat ? null : document.querySelector('[data-key="' + event.key + '"]');
    if (!aim) return;
    event.preventDefault();
    aim.click();
  });
})();
